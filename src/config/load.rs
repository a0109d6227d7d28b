//! Puts the layers on top of each other and says, for a wrong value, where it came from.
//!
//! It must not know what settings mean. Start with [`Sources`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::settings::{self, FILE_VARIABLE, Kind, PREFIX, Setting};
use super::{Config, DEFAULTS};

/// File that is read when none is named and it exists.
const USUAL_FILE: &str = "switchhook.toml";

/// Where settings come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// File of `--config`.
    pub file: Option<PathBuf>,
    /// Whether `switchhook.toml` in the working directory is read when no file is named.
    pub usual_file: bool,
    /// Environment variables that begin with `SWITCHHOOK_`.
    pub variables: BTreeMap<String, OsString>,
    /// Command-line options: key of the setting and text.
    pub options: BTreeMap<&'static str, String>,
}

impl Sources {
    /// The environment of this process, and no options yet.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .filter(|(name, _)| name.starts_with(PREFIX))
            .collect();
        Self { file: None, usual_file: true, variables, options: BTreeMap::new() }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read the configuration file {file}: {source}")]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not TOML.
    #[error("{file} is not TOML: {message}")]
    Syntax {
        /// Which.
        file: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A key that does not exist.
    #[error("{file}: unknown key `{key}`{hint}")]
    UnknownKey {
        /// File.
        file: PathBuf,
        /// Dotted key.
        key: String,
        /// The nearest key, as a question.
        hint: String,
    },
    /// A variable that does not exist.
    #[error("unknown environment variable {name}{hint}")]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The nearest variable, as a question.
        hint: String,
    },
    /// A value that does not fit its setting.
    #[error("{origin}: {message}")]
    Value {
        /// File and key, variable, or option.
        origin: String,
        /// What was expected.
        message: String,
    },
    /// The file that a setting names cannot be read.
    #[error("{key}: cannot read {file}: {source}")]
    SecretFile {
        /// Key of the setting.
        key: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Settings that do not go together, or a value that its setting does not allow.
    #[error("{0}")]
    Contradiction(String),
}

/// Values so far, and where each came from.
struct Layers {
    table: Table,
    origins: BTreeMap<String, String>,
}

/// Reads all layers; the later wins.
pub(super) fn merge(sources: &Sources) -> Result<Config, Error> {
    let defaults = DEFAULTS.parse::<Table>().expect("the compiled-in defaults are TOML");
    let mut layers = Layers { table: defaults, origins: BTreeMap::new() };
    if let Some(file) = file_of(sources)? {
        let text = std::fs::read_to_string(&file).map_err(|source| Error::Unreadable { file: file.clone(), source })?;
        let table = text
            .parse::<Table>()
            .map_err(|error| Error::Syntax { file: file.clone(), message: error.to_string().trim().to_owned() })?;
        layers.add_file(&file, "", &table)?;
    }
    for (name, value) in &sources.variables {
        if name != FILE_VARIABLE {
            layers.add_variable(name, value)?;
        }
    }
    for (key, text) in &sources.options {
        let setting = settings::by_key(key).expect("options are made from the table of settings");
        layers.add_text(setting, text, format!("option --{}", setting.option))?;
    }
    let Layers { table, origins } = layers;
    serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(|error| {
        let path = error.path().to_string();
        let key = origins.keys().filter(|key| path.starts_with(key.as_str())).max_by_key(|key| key.len());
        let origin = key.map_or_else(|| format!("`{path}`"), |key| origins[key].clone());
        let setting = settings::by_key(key.unwrap_or(&path));
        Error::Value { origin, message: expectation(&error.into_inner(), setting, &table) }
    })
}

/// One line that says what was expected; a text that does not parse is shown, unlike a secret, which always does.
fn expectation(error: &toml::de::Error, setting: Option<&Setting>, table: &Table) -> String {
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    let text = setting.and_then(|setting| {
        let value =
            setting.key.split('.').try_fold(Value::Table(table.clone()), |value, name| value.get(name).cloned());
        Some((setting.value_name, value?.as_str()?.to_owned()))
    });
    match text {
        Some((form, text)) if !message.contains("expected") => format!("expected {form}, found {text:?}: {message}"),
        _ => message,
    }
}

fn file_of(sources: &Sources) -> Result<Option<PathBuf>, Error> {
    if let Some(file) = &sources.file {
        return Ok(Some(file.clone()));
    }
    if let Some(file) = sources.variables.get(FILE_VARIABLE).filter(|file| !file.is_empty()) {
        return Ok(Some(PathBuf::from(file)));
    }
    let usual = Path::new(USUAL_FILE);
    let exists = sources.usual_file
        && usual.try_exists().map_err(|source| Error::Unreadable { file: usual.to_owned(), source })?;
    Ok(exists.then(|| usual.to_owned()))
}

impl Layers {
    /// Takes over the values of `table`, which is what the file has below `prefix`.
    fn add_file(&mut self, file: &Path, prefix: &str, table: &Table) -> Result<(), Error> {
        for (name, value) in table {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let is_section = settings::SETTINGS
                .iter()
                .any(|setting| setting.key.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.')));
            match (settings::by_key(&key), value) {
                (Some(_), _) => {
                    let origin = format!("{}: key `{key}`", file.display());
                    self.set(&key, value.clone(), origin);
                }
                (None, Value::Table(section)) if is_section => self.add_file(file, &key, section)?,
                (None, _) if is_section => {
                    return Err(Error::Value {
                        origin: format!("{}: key `{key}`", file.display()),
                        message: "expected a section".to_owned(),
                    });
                }
                (None, _) => {
                    let hint = nearest(&key, settings::SETTINGS.iter().map(|setting| setting.key));
                    return Err(Error::UnknownKey { file: file.to_owned(), key, hint });
                }
            }
        }
        Ok(())
    }

    fn add_variable(&mut self, name: &str, value: &OsString) -> Result<(), Error> {
        let Some(setting) = settings::by_variable(name) else {
            let known = settings::SETTINGS.iter().map(|setting| setting.variable).chain([FILE_VARIABLE]);
            return Err(Error::UnknownVariable { name: name.to_owned(), hint: nearest(name, known) });
        };
        let origin = format!("environment variable {name}");
        let Some(text) = value.to_str() else {
            return Err(Error::Value { origin, message: "expected UTF-8".to_owned() });
        };
        // Compose files pass on variables that are not set as empty ones.
        if text.is_empty() { Ok(()) } else { self.add_text(setting, text, origin) }
    }

    fn add_text(&mut self, setting: &Setting, text: &str, origin: String) -> Result<(), Error> {
        let wrong = |expected: &str| Error::Value {
            origin: origin.clone(),
            message: format!("expected {expected}, found {text:?}"),
        };
        let value = match setting.kind {
            Kind::Text => Value::String(text.to_owned()),
            Kind::Flag => match text {
                "true" | "1" => Value::Boolean(true),
                "false" | "0" => Value::Boolean(false),
                _ => return Err(wrong("true or false")),
            },
            Kind::Count => Value::Integer(text.parse().map_err(|_| wrong("a whole number"))?),
            Kind::Number => Value::Float(text.parse().map_err(|_| wrong("a number"))?),
            Kind::List => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
            }
            Kind::Pairs => {
                let pairs = text.split_whitespace().map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    Some((name.to_owned(), Value::String(value.to_owned())))
                });
                let pairs: Option<Table> = pairs.collect();
                Value::Table(pairs.ok_or_else(|| wrong("name=value, separated by spaces"))?)
            }
        };
        self.set(setting.key, value, origin);
        Ok(())
    }

    /// Sets a key; a secret given one way replaces the same secret given the other way in an earlier layer.
    fn set(&mut self, key: &str, value: Value, origin: String) {
        let twin = key.strip_suffix("_file").map_or_else(|| format!("{key}_file"), ToOwned::to_owned);
        if self.origins.get(&twin).is_some_and(|earlier| layer_of(earlier) != layer_of(&origin)) {
            self.origins.remove(&twin);
            let (table, name) = self.place_of(&twin);
            table.remove(name);
        }
        let (table, name) = self.place_of(key);
        table.insert(name.to_owned(), value);
        self.origins.insert(key.to_owned(), origin);
    }

    fn place_of<'a>(&mut self, key: &'a str) -> (&mut Table, &'a str) {
        match key.split_once('.') {
            None => (&mut self.table, key),
            Some((section, name)) => {
                let section = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
                (section.as_table_mut().expect("the defaults have every section as a table"), name)
            }
        }
    }
}

/// Which layer an origin names: its first word, which differs between file, variable and option.
fn layer_of(origin: &str) -> &str {
    origin.split(' ').next().unwrap_or_default()
}

/// Asks for the known name that is most alike, if one is.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let alike = known.map(|known| (distance(name, known), known)).min();
    match alike {
        Some((distance, known)) if distance <= 3 => format!(", did you mean {known}?"),
        _ => String::new(),
    }
}

/// Edit distance between two short texts (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, b) in right.bytes().enumerate() {
            let replace = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replace.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
