//! What mail says: a file for each subject, language and form. Those that come with the program can be replaced, and other
//! languages added, by a folder of files with the same names: `welcome.de.txt`, `welcome.de.html`.
//!
//! The text begins with a line `Subject: …`; a language that has no HTML is sent as text alone.

use std::path::Path;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use super::MailError;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The first sign-in.
    Welcome,
    /// Another password.
    PasswordReset,
    /// An invitation.
    Invitation,
    /// A lock by the system.
    AccountLocked,
}

impl Subject {
    const ALL: [Self; 4] = [
        Self::Welcome,
        Self::PasswordReset,
        Self::Invitation,
        Self::AccountLocked,
    ];

    /// How files and links are called.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::PasswordReset => "password-reset",
            Self::Invitation => "invitation",
            Self::AccountLocked => "account-locked",
        }
    }
}

/// What templates are filled with; what a mail has not is left empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// The title of the account.
    pub(crate) account: String,
    /// The person's first name.
    pub(crate) first_name: String,
    /// The person's last name.
    pub(crate) last_name: String,
    /// The link that the mail brings.
    pub(crate) link: String,
    /// The token in it, for templates that make links of their own.
    pub(crate) token: String,
    /// Until when the link is good.
    pub(crate) expires_at: String,
    /// Until when the lock holds, where it ends by itself.
    pub(crate) locked_until: String,
}

impl Words {
    fn value(&self, language: &str, subject: &str) -> Value {
        context! {
            language,
            subject,
            account => self.account.as_str(),
            first_name => self.first_name.as_str(),
            last_name => self.last_name.as_str(),
            link => self.link.as_str(),
            token => self.token.as_str(),
            expires_at => self.expires_at.as_str(),
            locked_until => self.locked_until.as_str(),
        }
    }
}

/// What a mail says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Its subject line.
    pub(crate) subject: String,
    /// As plain text.
    pub(crate) text: String,
    /// As HTML.
    pub(crate) html: Option<String>,
}

macro_rules! embedded {
    ($($subject:literal in $($language:literal)+;)+) => {
        /// The templates that come with the program.
        const EMBEDDED: &[(&str, &str)] = &[
            ("layout.html", include_str!("templates/layout.html")),
            $($(
                (
                    concat!($subject, ".", $language, ".txt"),
                    include_str!(concat!("templates/", $subject, ".", $language, ".txt")),
                ),
                (
                    concat!($subject, ".", $language, ".html"),
                    include_str!(concat!("templates/", $subject, ".", $language, ".html")),
                ),
            )+)+
        ];
    };
}

embedded! {
    "welcome" in "de" "en" "fr" "sv";
    "password-reset" in "de" "en" "fr" "sv";
    "invitation" in "de" "en" "fr" "sv";
    "account-locked" in "de" "en" "fr" "sv";
}

/// Every template there is.
pub(crate) struct Templates {
    environment: Environment<'static>,
    fallback: String,
}

impl Templates {
    /// The language that every subject has.
    const LAST: &'static str = "en";
    const BEGIN: &'static str = "Subject: ";

    /// Those of the program, and over them those of the folder. Each is tried once.
    pub(crate) fn load(folder: Option<&Path>, fallback: &str) -> Result<Self, MailError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            if has_extension(name, "html") {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        for (name, source) in EMBEDDED {
            let added = environment.add_template(name, source);
            added.map_err(|error| unusable(name, &error))?;
        }
        if let Some(folder) = folder {
            add_folder(&mut environment, folder)?;
        }
        let templates = Self {
            environment,
            fallback: fallback.to_lowercase(),
        };
        templates.try_all()?;
        Ok(templates)
    }

    fn try_all(&self) -> Result<(), MailError> {
        let texts = self
            .environment
            .templates()
            .filter_map(|(name, _)| name.strip_suffix(".txt"));
        for name in texts {
            let known = |subject: &Subject| name.split('.').next() == Some(subject.name());
            let language = name.split_once('.').map(|(_, language)| language);
            let (Some(subject), Some(language)) = (Subject::ALL.into_iter().find(known), language)
            else {
                return Err(MailError::Template {
                    name: format!("{name}.txt"),
                    problem: "its name is not of the form SUBJECT.LANGUAGE.txt".to_owned(),
                });
            };
            self.say_in(subject, language, &Words::default())?;
        }
        Ok(())
    }

    /// What a mail says, in the first of these that there is: the language, the same without a region, the fallback, English.
    pub(crate) fn say(
        &self,
        subject: Subject,
        language: Option<&str>,
        words: &Words,
    ) -> Result<Said, MailError> {
        let wanted = language.unwrap_or_default().to_lowercase();
        let shorter = wanted.split('-').next().unwrap_or_default();
        let there = [&wanted, shorter, &self.fallback]
            .into_iter()
            .find(|language| self.has(subject, language));
        self.say_in(subject, there.unwrap_or(Self::LAST), words)
    }

    fn has(&self, subject: Subject, language: &str) -> bool {
        let name = format!("{}.{language}.txt", subject.name());
        self.environment.get_template(&name).is_ok()
    }

    fn say_in(&self, subject: Subject, language: &str, words: &Words) -> Result<Said, MailError> {
        let name = format!("{}.{language}.txt", subject.name());
        let text = self.render(&name, words.value(language, ""))?;
        let (line, text) = text.split_once('\n').unwrap_or((&text, ""));
        let Some(line) = line.strip_prefix(Self::BEGIN) else {
            return Err(MailError::Template {
                name,
                problem: "its first line is not `Subject: …`".to_owned(),
            });
        };
        let html = format!("{}.{language}.html", subject.name());
        let html = match self.environment.get_template(&html) {
            Ok(_) => Some(self.render(&html, words.value(language, line))?),
            Err(_) => None,
        };
        Ok(Said {
            subject: line.trim().to_owned(),
            text: text.trim_start().to_owned(),
            html,
        })
    }

    /// What is wrong with a template is told without what it was filled with.
    fn render(&self, name: &str, words: Value) -> Result<String, MailError> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(words))
            .map_err(|error| unusable(name, &error))
    }
}

fn add_folder(environment: &mut Environment<'static>, folder: &Path) -> Result<(), MailError> {
    let failed = |source| MailError::Folder {
        folder: folder.display().to_string(),
        source,
    };
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let name = name.to_owned();
        if has_extension(&name, "html") || has_extension(&name, "txt") {
            let source = std::fs::read_to_string(&path).map_err(failed)?;
            let added = environment.add_template_owned(name.clone(), source);
            added.map_err(|error| unusable(&name, &error))?;
        }
    }
    Ok(())
}

fn has_extension(name: &str, wanted: &str) -> bool {
    let extension = Path::new(name).extension();
    extension.is_some_and(|extension| extension == wanted)
}

fn unusable(name: &str, error: &minijinja::Error) -> MailError {
    let line = error
        .line()
        .map_or_else(String::new, |line| format!(" in line {line}"));
    MailError::Template {
        name: name.to_owned(),
        problem: format!("{}{line}", error.kind()),
    }
}
