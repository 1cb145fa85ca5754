//! Lays the layers over each other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use haulier_domain::policy::Fault;

use super::settings::SETTINGS;
use super::values::Values;
use super::{Config, ConfigError, Faulty};
use crate::yaml::{DocumentFault, Faults, Node, Place, parse};

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Default,
    File,
    Environment,
    Flag,
}

const FILE: &str = "config";
const FILE_VARIABLE: &str = "HAULIER_CONFIG";

pub(super) fn load<I, T>(arguments: I, environment: impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let matches = command().try_get_matches_from(arguments).map_err(ConfigError::Arguments)?;
    let path = matches.get_one::<PathBuf>(FILE).cloned().or_else(|| environment(FILE_VARIABLE).map(PathBuf::from));
    let text = match &path {
        Some(path) => {
            std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?
        }
        None => "version: 1\n".to_owned(),
    };
    combine(&text, &matches, environment).map_err(|faults| ConfigError::Faulty(Faulty { file: path, faults }))
}

fn combine(
    text: &str,
    matches: &ArgMatches,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Config, Vec<DocumentFault>> {
    let document = parse(text).map_err(|fault| vec![fault])?;
    let faults = Faults::default();
    let mut layered: BTreeMap<&'static str, (String, Layer)> = BTreeMap::new();
    let file: BTreeMap<String, String> = super::file::read(&document, &faults).into_iter().collect();
    for setting in SETTINGS {
        let layers = [
            (setting.default.map(str::to_owned), Layer::Default),
            (file.get(setting.key).cloned(), Layer::File),
            (environment(setting.variable).filter(|text| !text.is_empty()), Layer::Environment),
            (matches.get_one::<String>(setting.flag).cloned(), Layer::Flag),
        ];
        let winner = layers.into_iter().rev().find_map(|(text, layer)| Some((text?, layer)));
        layered.extend(winner.map(|winner| (setting.key, winner)));
    }
    let mut values = Values::new(layered.iter().map(|(key, (text, _))| (*key, text.clone())).collect());
    let config = values.config();
    let meant = values.into_faults();
    add(&document, &faults, meant, |key| layered.get(key).map(|(_, layer)| *layer));
    let faults = faults.into_sorted();
    match config {
        Some(config) if faults.is_empty() => Ok(config),
        _ => Err(faults),
    }
}

/// Adds faults of values: with their line where they came from the file, with their variable or flag otherwise.
fn add(document: &Node, faults: &Faults, meant: Vec<Fault>, layer: impl Fn(&str) -> Option<Layer>) {
    for fault in meant {
        let setting = SETTINGS.iter().find(|setting| setting.key == fault.field);
        let named = match (layer(&fault.field), setting) {
            (Some(Layer::Environment), Some(setting)) => setting.variable.to_owned(),
            (Some(Layer::Flag), Some(setting)) => format!("--{}", setting.flag),
            _ => {
                faults.add_meant(document, [fault]);
                continue;
            }
        };
        faults.add(DocumentFault { place: Place::default(), fault: Fault { field: named, ..fault } });
    }
}

fn command() -> Command {
    let file = Arg::new(FILE)
        .long(FILE)
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help(format!("Configuration file [env: {FILE_VARIABLE}]"));
    let settings = SETTINGS.iter().map(|setting| {
        let default = setting.default.map_or(String::new(), |default| format!(" [default: {default}]"));
        Arg::new(setting.flag)
            .long(setting.flag)
            .value_name("VALUE")
            .help(format!("{} [env: {}]{default}", setting.help, setting.variable))
    });
    Command::new("haulier-coordinator")
        .version(env!("CARGO_PKG_VERSION"))
        .about("The control plane of Haulier")
        .arg(file)
        .args(settings)
}
