//! Passwords and the tokens of links, read from a prompt that does not echo or from a file, never from a flag.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use clap::Args;
use console::Term;

use super::problem::Problem;

/// Where a password comes from.
#[derive(Args, Clone, Debug)]
pub struct PasswordFlags {
    /// File with the password; without it you are asked at the terminal
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordFlags {
    /// The password, or nothing where there is none: asked for twice at a terminal, else only from the file.
    pub fn read(&self) -> Result<String, Problem> {
        match &self.password_file {
            Some(path) => read_file(path.clone()),
            None if io::stdin().is_terminal() => ask(),
            None => Ok(String::new()),
        }
    }
}

/// Where the password comes from that somebody has, to prove who it is.
#[derive(Args, Clone, Debug)]
pub struct OwnPasswordFlags {
    /// File with your own present password; without it you are asked at the terminal
    #[arg(long, value_name = "FILE")]
    own_password_file: Option<PathBuf>,
}

impl OwnPasswordFlags {
    /// The password.
    pub fn read(&self) -> Result<String, Problem> {
        entered(
            self.own_password_file.as_ref(),
            "Your own present password: ",
        )
    }
}

/// Where a password comes from that is to be checked.
#[derive(Args, Clone, Debug)]
pub struct EnteredFlags {
    /// File with the password; without it you are asked, or one line is read from standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl EnteredFlags {
    /// The password.
    pub fn read(&self) -> Result<String, Problem> {
        entered(self.password_file.as_ref(), "Password: ")
    }
}

/// A secret that is there already: out of a file, or asked for once, or a line of standard input.
fn entered(file: Option<&PathBuf>, prompt: &str) -> Result<String, Problem> {
    if let Some(path) = file {
        return read_file(path.clone());
    }
    if io::stdin().is_terminal() {
        let terminal = Term::stderr();
        terminal.write_str(prompt)?;
        return Ok(terminal.read_secure_line()?);
    }
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Where the token of a link comes from.
#[derive(Args, Clone, Debug)]
pub struct LinkTokenFlags {
    /// File with the token of the link; without it you are asked, or one line is read from standard input
    #[arg(long, value_name = "FILE")]
    link_token_file: Option<PathBuf>,
}

impl LinkTokenFlags {
    /// The token.
    pub fn read(&self) -> Result<String, Problem> {
        let text = entered(self.link_token_file.as_ref(), "Token of the link: ")?;
        Ok(text.trim().to_owned())
    }
}

/// A file's text without the end of its line: the rest belongs to the password.
fn read_file(path: PathBuf) -> Result<String, Problem> {
    let text = fs::read_to_string(&path).map_err(|source| Problem::File {
        action: "read",
        path,
        source,
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn ask() -> Result<String, Problem> {
    let terminal = Term::stderr();
    terminal.write_str("Password (empty: none): ")?;
    let password = terminal.read_secure_line()?;
    if password.is_empty() {
        return Ok(password);
    }
    terminal.write_str("Once more: ")?;
    if terminal.read_secure_line()? == password {
        Ok(password)
    } else {
        Err(Problem::Usage("the two passwords differ".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_file_is_read_without_the_end_of_its_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), " spaces belong to it \r\n").unwrap();
        let flags = PasswordFlags {
            password_file: Some(file.path().to_owned()),
        };
        assert_eq!(flags.read().unwrap(), " spaces belong to it ");
    }
}
