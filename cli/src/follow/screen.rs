//! What a follower sees: bars on a terminal, plain lines elsewhere.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::stream::Happening;
use crate::Io;
use crate::output::{moment, printable};
use crate::view::{ProgressView, SessionView};

/// Plain lines of progress come no faster than this, unless the phase changes.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Which stream the lines go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Out,
    Err,
}

/// Shows what happens to one or several sessions.
#[derive(Debug)]
pub(super) struct Screen {
    side: Side,
    bars: Option<MultiProgress>,
    several: bool,
    seen: HashMap<String, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    bar: Option<ProgressBar>,
    standing: String,
    phase: String,
    told_at: Option<Instant>,
}

impl Screen {
    /// A screen for one or several sessions.
    pub(super) fn new(side: Side, has_terminal: bool, several: bool) -> Self {
        Self { side, bars: has_terminal.then(MultiProgress::new), several, seen: HashMap::new() }
    }

    /// Shows one thing that happened.
    pub(super) fn show(&mut self, io: &mut Io, id: &str, happening: &Happening) -> io::Result<()> {
        match happening {
            Happening::Session(session) => self.session(io, id, session),
            Happening::Log(_, log) => {
                let text = format!("{} {:8} {}", moment(log.at), log.severity, printable(&log.text));
                self.line(io, id, &text)
            }
            Happening::Progress(progress) => self.progress(io, id, progress),
            Happening::Cut(why) => self.line(io, id, &format!("!! connection lost, trying again ({})", printable(why))),
        }
    }

    fn session(&mut self, io: &mut Io, id: &str, session: &SessionView) -> io::Result<()> {
        let standing = session.standing();
        let bar = self.bar(id);
        let seen = self.seen.entry(id.to_owned()).or_default();
        let is_news = seen.standing != standing;
        seen.standing.clone_from(&standing);
        if let Some(bar) = &bar {
            bar.set_prefix(printable(&session.resource));
            bar.set_message(standing.clone());
            if session.exit().is_some() {
                bar.finish_and_clear();
            }
        }
        if is_news && (bar.is_none() || session.exit().is_some()) {
            self.line(io, id, &format!("== {standing}"))?;
        }
        if is_news && session.exit().is_some() {
            for warning in &session.warnings {
                self.line(io, id, &format!("   warning: {}", printable(warning)))?;
            }
            if let Some(failure) = &session.failure {
                let (cause, remedy) = (printable(&failure.cause), printable(&failure.remedy));
                self.line(io, id, &format!("   {} [{}]", printable(&failure.what), failure.code))?;
                self.line(io, id, &format!("   cause:  {cause}"))?;
                self.line(io, id, &format!("   remedy: {remedy}"))?;
            }
        }
        Ok(())
    }

    fn progress(&mut self, io: &mut Io, id: &str, progress: &ProgressView) -> io::Result<()> {
        if let Some(bar) = self.bar(id) {
            match progress.bytes_total {
                Some(total) => {
                    bar.set_style(style("{prefix} [{bar:24}] {wide_msg}"));
                    bar.set_length(total);
                    bar.set_position(progress.bytes_read);
                }
                None => bar.set_style(style("{prefix} {spinner} {wide_msg}")),
            }
            bar.set_message(printable(&progress.brief()));
            return Ok(());
        }
        let now = Instant::now();
        let seen = self.seen.entry(id.to_owned()).or_default();
        let is_due = seen.told_at.is_none_or(|told| now.duration_since(told) >= LINE_EVERY);
        if !is_due && seen.phase == progress.phase {
            return Ok(());
        }
        seen.phase.clone_from(&progress.phase);
        seen.told_at = Some(now);
        self.line(io, id, &format!(".. {}", printable(&progress.line())))
    }

    /// The bar of a session; `None` where nobody looks at a terminal.
    fn bar(&mut self, id: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let seen = self.seen.entry(id.to_owned()).or_default();
        let bar = seen.bar.get_or_insert_with(|| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style("{prefix} {spinner} {wide_msg}")));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Some(bar.clone())
    }

    fn line(&self, io: &mut Io, id: &str, text: &str) -> io::Result<()> {
        let text = if self.several { format!("{id} {text}") } else { text.to_owned() };
        let to: &mut dyn Write = match self.side {
            Side::Out => &mut io.out,
            Side::Err => &mut io.err,
        };
        match &self.bars {
            // The bars stand aside while the line is written.
            Some(bars) => bars.suspend(|| writeln!(to, "{text}").and_then(|()| to.flush())),
            None => writeln!(to, "{text}").and_then(|()| to.flush()),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
