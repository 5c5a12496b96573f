//! Names of units, checked by systemd's own rules, and the escaping of text in them.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use bij_core::ExperimentId;
use thiserror::Error;

/// The longest name of a unit in bytes: `UNIT_NAME_MAX` of systemd's `unit-name.h` counts a NUL too.
const MAX_LENGTH: usize = 255;

/// Characters of a name besides letters, digits and the `@` of an instance (systemd.unit(5), "Description").
const PUNCTUATION: &[u8] = b":-_.\\";

/// The kind of a unit: the suffix of its name (systemd.unit(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the kind of its name")]
pub enum UnitKind {
    Service,
    Socket,
    Target,
    Device,
    Mount,
    Automount,
    Swap,
    Timer,
    Path,
    Slice,
    Scope,
}

impl UnitKind {
    const ALL: [Self; 11] = [
        Self::Service,
        Self::Socket,
        Self::Target,
        Self::Device,
        Self::Mount,
        Self::Automount,
        Self::Swap,
        Self::Timer,
        Self::Path,
        Self::Slice,
        Self::Scope,
    ];

    /// Returns the suffix of names of this kind, without the dot.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Socket => "socket",
            Self::Target => "target",
            Self::Device => "device",
            Self::Mount => "mount",
            Self::Automount => "automount",
            Self::Swap => "swap",
            Self::Timer => "timer",
            Self::Path => "path",
            Self::Slice => "slice",
            Self::Scope => "scope",
        }
    }

    /// Returns `true` if units of this kind have a control group while they are up.
    pub(crate) const fn has_cgroup(self) -> bool {
        matches!(
            self,
            Self::Service | Self::Scope | Self::Slice | Self::Socket | Self::Mount | Self::Swap
        )
    }

    /// Returns the D-Bus interface of what only units of this kind have; `None` for a target, which has nothing.
    pub(crate) const fn interface(self) -> Option<&'static str> {
        Some(match self {
            Self::Service => "org.freedesktop.systemd1.Service",
            Self::Socket => "org.freedesktop.systemd1.Socket",
            Self::Target => return None,
            Self::Device => "org.freedesktop.systemd1.Device",
            Self::Mount => "org.freedesktop.systemd1.Mount",
            Self::Automount => "org.freedesktop.systemd1.Automount",
            Self::Swap => "org.freedesktop.systemd1.Swap",
            Self::Timer => "org.freedesktop.systemd1.Timer",
            Self::Path => "org.freedesktop.systemd1.Path",
            Self::Slice => "org.freedesktop.systemd1.Slice",
            Self::Scope => "org.freedesktop.systemd1.Scope",
        })
    }
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.suffix())
    }
}

/// The name of a unit, a template or an instance of one: `ssh.service`, `getty@.service`, `getty@tty1.service`.
///
/// ```
/// use bij_systemd::{UnitKind, UnitName};
///
/// let getty: UnitName = "getty@.service".parse()?;
/// assert!(getty.is_template());
/// let tty1 = getty.instantiate("tty1")?;
/// assert_eq!((tty1.as_str(), tty1.instance()), ("getty@tty1.service", Some("tty1")));
/// assert_eq!(tty1.kind(), UnitKind::Service);
///
/// // Any text becomes an instance when it is escaped, as by systemd-escape(1).
/// let check = UnitName::new("check@.service")?.instantiate(&UnitName::escape("lab 1/2"))?;
/// assert_eq!(check.as_str(), r"check@lab\x201-2.service");
/// # Ok::<(), bij_systemd::InvalidUnitName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName {
    text: String,
    kind: UnitKind,
}

/// Why a text is not the name of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidUnitName {
    /// The text is longer than 255 bytes, or empty.
    #[error("a unit's name has 1 to {MAX_LENGTH} bytes, not {length}")]
    Length {
        /// The length of the text in bytes.
        length: usize,
    },
    /// The text does not end in `.service`, `.socket` or another kind of unit.
    #[error("{found:?} does not end in a kind of unit, such as .service")]
    Kind {
        /// The text that was found.
        found: String,
    },
    /// The text has a character that no name may have.
    #[error(
        "{found:?} has the character {character:?}, which no unit's name may have; escape it as systemd-escape does"
    )]
    Character {
        /// The text that was found.
        found: String,
        /// Its first character that is not allowed.
        character: char,
    },
    /// There is nothing before the kind, or before the `@`.
    #[error("{found:?} has no name before its {before:?}")]
    NoPrefix {
        /// The text that was found.
        found: String,
        /// The character that something must come before.
        before: char,
    },
    /// The name is not a template's, so it has no instances.
    #[error("{found} is not a template, so it has no instances")]
    NotTemplate {
        /// The name that was found.
        found: UnitName,
    },
    /// The path cannot be a unit's name, because it has `..` in it or is not UTF-8.
    #[error("{} cannot be escaped, because it has \"..\" in it or is not UTF-8", found.display())]
    Path {
        /// The path that was found.
        found: PathBuf,
    },
}

impl UnitName {
    /// Checks a text by systemd's rules (`unit_name_is_valid()` of its unit-name.c).
    ///
    /// # Errors
    /// [`InvalidUnitName`] says which rule it breaks.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidUnitName> {
        let text = name.into();
        if text.is_empty() || text.len() > MAX_LENGTH {
            return Err(InvalidUnitName::Length { length: text.len() });
        }
        let named = |kind: &UnitKind| {
            text.strip_suffix(kind.suffix()).is_some_and(|rest| rest.ends_with('.'))
        };
        let Some(kind) = UnitKind::ALL.into_iter().find(named) else {
            return Err(InvalidUnitName::Kind { found: text });
        };
        let allowed = |c: char| c == '@' || c.is_ascii() && is_plain(c as u8);
        if let Some(character) = text.chars().find(|c| !allowed(*c)) {
            return Err(InvalidUnitName::Character { found: text, character });
        }
        if let Some(before @ ('.' | '@')) = text.chars().next()
            && (before == '@' || text.len() == kind.suffix().len() + 1)
        {
            return Err(InvalidUnitName::NoPrefix { found: text, before });
        }
        Ok(Self { text, kind })
    }

    /// Returns the whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the kind of the unit.
    pub const fn kind(&self) -> UnitKind {
        self.kind
    }

    /// Returns the name without its kind.
    fn stem(&self) -> &str {
        &self.text[..self.text.len() - self.kind.suffix().len() - 1]
    }

    /// Returns the name before the `@`, or before the kind if there is no `@` (systemd.unit(5), `%p`).
    pub fn prefix(&self) -> &str {
        self.stem().split('@').next().unwrap_or_default()
    }

    /// Returns the name of the instance, escaped (systemd.unit(5), `%i`); `None` if this is no instance of a template.
    pub fn instance(&self) -> Option<&str> {
        let (_, instance) = self.stem().split_once('@')?;
        (!instance.is_empty()).then_some(instance)
    }

    /// Returns `true` for the name of a template, such as `getty@.service`: it cannot be started, its instances can.
    pub fn is_template(&self) -> bool {
        self.stem().split_once('@').is_some_and(|(_, instance)| instance.is_empty())
    }

    /// Returns the template of an instance, or the name of a template itself; `None` for any other unit.
    pub fn template(&self) -> Option<Self> {
        let (prefix, _) = self.stem().split_once('@')?;
        Some(Self { text: format!("{prefix}@.{}", self.kind), kind: self.kind })
    }

    /// Returns the instance of this template with an instance name that is [escaped](Self::escape) if it has to be.
    ///
    /// # Errors
    /// [`InvalidUnitName::NotTemplate`] for another name, or the rule that the instance breaks.
    pub fn instantiate(&self, instance: &str) -> Result<Self, InvalidUnitName> {
        if !self.is_template() {
            return Err(InvalidUnitName::NotTemplate { found: self.clone() });
        }
        let name = Self::new(format!("{}{instance}.{}", self.stem(), self.kind))?;
        if name.is_template() {
            return Err(InvalidUnitName::NoPrefix { found: name.text, before: '.' });
        }
        Ok(name)
    }

    /// Escapes any text for a part of a name, as `systemd-escape TEXT`: `/` becomes `-`, other bytes `\xXX`.
    pub fn escape(text: &str) -> String {
        let mut escaped = String::with_capacity(text.len());
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'/' => escaped.push('-'),
                b'-' | b'\\' => push_hex(&mut escaped, byte),
                b'.' if at == 0 => push_hex(&mut escaped, byte),
                byte if is_plain(byte) => escaped.push(char::from(byte)),
                byte => push_hex(&mut escaped, byte),
            }
        }
        escaped
    }

    /// Reverses [`escape`](Self::escape), as `systemd-escape --unescape`; `None` for a text that is not escaped
    /// rightly, or is no UTF-8 when unescaped.
    pub fn unescape(text: &str) -> Option<String> {
        let mut bytes = text.bytes();
        let mut plain = Vec::with_capacity(text.len());
        while let Some(byte) = bytes.next() {
            plain.push(match byte {
                b'-' => b'/',
                b'\\' => {
                    let [x, high, low] = [bytes.next()?, bytes.next()?, bytes.next()?];
                    let digit = |byte: u8| char::from(byte).to_digit(16);
                    let value = u8::try_from(digit(high)? * 16 + digit(low)?).ok();
                    value.filter(|_| x == b'x')?
                }
                byte if is_plain(byte) => byte,
                _ => return None,
            });
        }
        String::from_utf8(plain).ok()
    }

    /// Escapes a path for a part of a name, as `systemd-escape --path`: `/var//lib/` becomes `var-lib`, `/` becomes
    /// `-`.
    ///
    /// # Errors
    /// [`InvalidUnitName::Path`] for a path with `..` in it, or that is not UTF-8.
    pub fn escape_path(path: impl AsRef<Path>) -> Result<String, InvalidUnitName> {
        let path = path.as_ref();
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir => {}
                Component::Normal(part) => parts.push(part.to_str()),
                Component::Prefix(_) | Component::ParentDir => parts.push(None),
            }
        }
        let parts: Option<Vec<&str>> = parts.into_iter().collect();
        let parts = parts.ok_or_else(|| InvalidUnitName::Path { found: path.to_owned() })?;
        Ok(if parts.is_empty() { "-".to_owned() } else { Self::escape(&parts.join("/")) })
    }

    /// Reverses [`escape_path`](Self::escape_path), as `systemd-escape --unescape --path`; `None` for a text that is
    /// no escaped path.
    pub fn unescape_path(text: &str) -> Option<PathBuf> {
        if text == "-" {
            return Some(PathBuf::from("/"));
        }
        let path = Self::unescape(text)?;
        let is_part = |part: &str| !matches!(part, "" | "." | "..");
        path.split('/').all(is_part).then(|| PathBuf::from(format!("/{path}")))
    }

    /// Returns the name of an experiment's unit.
    pub fn from_experiment(id: &ExperimentId) -> Self {
        Self { text: id.unit_name(), kind: UnitKind::Service }
    }

    /// Returns the experiment that this is the unit of; `None` for any other unit.
    pub fn experiment(&self) -> Option<ExperimentId> {
        ExperimentId::from_unit_name(&self.text)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || PUNCTUATION.contains(&byte)
}

fn push_hex(text: &mut String, byte: u8) {
    use fmt::Write as _;
    write!(text, "\\x{byte:02x}").expect("a String takes everything");
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for UnitName {
    type Err = InvalidUnitName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl AsRef<str> for UnitName {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> UnitName {
        UnitName::new(text).unwrap()
    }

    #[test]
    fn names_that_systemd_accepts_are_names() {
        for text in [
            "ssh.service",
            "getty@.service",
            "getty@tty1.service",
            "a@b@c.service",
            "-.slice",
            "-.mount",
            r"dev-disk-by\x2duuid-1.device",
            "a..service",
            ".a.service",
        ] {
            assert_eq!(name(text).as_str(), text);
        }
        assert_eq!(name(&format!("{}.service", "a".repeat(247))).as_str().len(), 255);
    }

    #[test]
    fn other_texts_are_refused_with_the_rule_that_they_break() {
        let refused = |text: &str| UnitName::new(text).unwrap_err();
        let too_long = format!("{}.service", "a".repeat(292));
        assert_eq!(refused(&too_long), InvalidUnitName::Length { length: 300 });
        assert_eq!(refused(""), InvalidUnitName::Length { length: 0 });
        for text in ["ssh", "ssh.", "service", "ssh.service ", "ssh.services", "../x"] {
            assert!(matches!(refused(text), InvalidUnitName::Kind { .. }), "{text}");
        }
        for (text, bad) in [
            ("a/b.service", '/'),
            ("a\0b.service", '\0'),
            ("a b.service", ' '),
            ("a*.service", '*'),
            ("ä.service", 'ä'),
        ] {
            let InvalidUnitName::Character { character, .. } = refused(text) else {
                panic!("{text}")
            };
            assert_eq!(character, bad);
        }
        for text in [".service", "@.service", "@x.service"] {
            assert!(matches!(refused(text), InvalidUnitName::NoPrefix { .. }), "{text}");
        }
    }

    #[test]
    fn an_instance_belongs_to_its_template() {
        let template = name("a@.timer");
        assert!(template.is_template() && template.instance().is_none());
        let instance = template.instantiate("b@c").unwrap();
        assert_eq!((instance.prefix(), instance.instance()), ("a", Some("b@c")));
        assert_eq!(instance.template(), Some(template.clone()));
        assert_eq!(name("a.timer").template(), None);
        assert!(matches!(instance.instantiate("d"), Err(InvalidUnitName::NotTemplate { .. })));
        assert!(matches!(template.instantiate(""), Err(InvalidUnitName::NoPrefix { .. })));
        assert!(matches!(template.instantiate("b/c"), Err(InvalidUnitName::Character { .. })));
    }

    #[test]
    fn text_is_escaped_as_systemd_escape_does() {
        for (plain, escaped) in [
            ("a b/c-d", r"a\x20b-c\x2dd"),
            (".hidden", r"\x2ehidden"),
            ("a.b", "a.b"),
            ("ä", r"\xc3\xa4"),
            ("a@b", r"a\x40b"),
            ("", ""),
        ] {
            assert_eq!(UnitName::escape(plain), escaped);
            assert_eq!(UnitName::unescape(escaped).as_deref(), Some(plain));
        }
        for text in [r"\x2", r"\y20", r"a\", "a b", r"\xff"] {
            assert_eq!(UnitName::unescape(text), None, "{text}");
        }
    }

    #[test]
    fn paths_are_escaped_as_systemd_escape_does() {
        for (path, escaped) in
            [("/", "-"), ("/var//lib/./x/", "var-lib-x"), ("/a-b/.c", r"a\x2db-.c")]
        {
            assert_eq!(UnitName::escape_path(path).unwrap(), escaped);
        }
        assert_eq!(UnitName::unescape_path("var-lib"), Some("/var/lib".into()));
        assert_eq!(UnitName::unescape_path("-"), Some("/".into()));
        assert!(UnitName::escape_path("/a/../b").is_err());
        for text in ["", "a--b", "a-..-b", "-a"] {
            assert_eq!(UnitName::unescape_path(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_a_name_and_leads_back(text in "\\PC{1,20}") {
            let escaped = UnitName::escape(&text);
            prop_assert_eq!(UnitName::unescape(&escaped), Some(text));
            let name = UnitName::new(format!("{escaped}.service"));
            prop_assert!(name.is_ok() || escaped.len() > 240);
        }

        #[test]
        fn no_text_makes_a_name_panic(text in ".{0,40}(@|\\.service|\\.slice)?") {
            if let Ok(name) = UnitName::new(text) {
                prop_assert!(name.template().is_some() == name.as_str().contains('@'));
                prop_assert_eq!(UnitName::new(name.as_str()), Ok(name.clone()));
            }
        }
    }
}
