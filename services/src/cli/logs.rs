//! Where log lines go: to standard error, so that standard output stays for answers.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use super::problem::Problem;
use crate::config::LogFormat;

/// Sends log lines that pass the filter to standard error from now on.
pub fn begin(filter: &str, format: LogFormat) -> Result<(), Problem> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| Problem::failed(format!("read the log filter `{filter}`"), source))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    let begun = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    begun.map_err(|source| Problem::failed("begin to log", source))
}
