//! The end: an auditor takes the log home and checks it without the service.

use std::fs;

use super::stage::{Stage, chapter, tell};
use crate::{
    caller::Role,
    cli::{history::export::Export, problem::Problem, verify::Known},
};

/// What somebody changes in a copy: a deletion that never was.
const CHANGE: (&str, &str) = ("\"forgets\":true", "\"forgets\":false");

/// Exports the account, checks service and export, and catches a change. Answers what is said of that.
pub async fn taken_home(stage: &Stage) -> Result<String, Problem> {
    chapter(
        10,
        "The auditor takes the log of the account home, and checks it without trusting us",
    )?;
    let auditor = stage.caller(Role::Auditor, "tour-auditor")?;
    let path = stage.data_dir.join("nordlys.ndjson");
    let export = Export::of_all(&path, None);
    tell(&export.write(&auditor).await?)?;
    let known = Known::default();
    tell("the service, asked for every event with its proof:")?;
    tell(known.check_service(&auditor).await?.text())?;
    tell("the file, which knows of no service:")?;
    tell(known.check_file(&path)?.text())?;
    tell("somebody changes one word in it; the file then says:")?;
    let failed = |action| {
        let path = path.clone();
        move |source| Problem::File {
            action,
            path,
            source,
        }
    };
    let text = fs::read_to_string(&path).map_err(failed("read"))?;
    fs::write(&path, text.replacen(CHANGE.0, CHANGE.1, 1)).map_err(failed("write"))?;
    let caught = match known.check_file(&path) {
        Ok(verified) => verified.text().to_owned(),
        Err(problem) => problem.to_string(),
    };
    tell(&caught)?;
    fs::write(&path, text).map_err(failed("write"))?;
    Ok(caught)
}
