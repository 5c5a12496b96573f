//! Tables of keys, and the function that reads a document by them.

use crate::document::{KeyEntry, Value, ValueNode, quoted};
use crate::fault::{ParseFault, ParseFaults};
use crate::names::nearest;

/// One key that a document may have.
pub(crate) struct Field<T> {
    /// The table of the key; empty for the document itself.
    pub(crate) table: &'static str,
    pub(crate) name: &'static str,
    /// The name of systemd's own setting, for hints; empty if there is none.
    pub(crate) systemd: &'static str,
    /// A valid value, as TOML.
    pub(crate) example: &'static str,
    pub(crate) read: fn(&ValueNode, &mut T) -> Result<(), ParseFaults>,
}

impl<T> Field<T> {
    /// Returns the key with its table: `limits.memory`.
    pub(crate) fn path(&self) -> String {
        path(self.table, self.name)
    }

    /// Returns an example of the key on one line.
    fn usage(&self) -> String {
        match self.table {
            "" => format!("{} = {}", self.name, self.example),
            table => format!("[{table}] {} = {}", self.name, self.example),
        }
    }
}

fn path(table: &str, name: &str) -> String {
    if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
}

/// Reads a document into `target` and adds its problems to `faults`.
pub(crate) fn read_document<T>(
    document: &[KeyEntry],
    fields: &[&Field<T>],
    target: &mut T,
    faults: &mut ParseFaults,
) {
    read_table("", document, fields, target, faults);
}

fn read_table<T>(
    table: &str,
    entries: &[KeyEntry],
    fields: &[&Field<T>],
    target: &mut T,
    faults: &mut ParseFaults,
) {
    for entry in entries {
        let field = fields.iter().find(|field| field.name == entry.key && field.table == table);
        if let Some(field) = field {
            if let Err(found) = (field.read)(&entry.node, target) {
                let with_path = |fault: ParseFault| {
                    fault
                        .within(&field.path())
                        .or_hint(|| Some(format!("for example: {}", field.usage())))
                };
                faults.extend(found, with_path);
            }
        } else if table.is_empty() && fields.iter().any(|field| field.table == entry.key) {
            match &entry.node.value {
                Value::Table(inner) => read_table(&entry.key, inner, fields, target, faults),
                _ => faults.push(not_a_table(entry, fields)),
            }
        } else if faults.is_full() {
            faults.push(ParseFault::new(entry.at, "unknown key"));
        } else {
            faults.push(unknown(table, entry, fields));
        }
    }
}

fn not_a_table<T>(entry: &KeyEntry, fields: &[&Field<T>]) -> ParseFault {
    let usage = fields.iter().find(|field| field.table == entry.key).map(|field| field.usage());
    entry
        .node
        .instead_of("a table")
        .within(&entry.key)
        .or_hint(|| usage.map(|usage| format!("for example: {usage}")))
}

fn unknown<T>(table: &str, entry: &KeyEntry, fields: &[&Field<T>]) -> ParseFault {
    let key = &entry.key;
    let kind = match (&entry.node.value, table) {
        (Value::Table(_), "") => "table",
        _ => "key",
    };
    let name = quoted(&path(table, key));
    let fault = ParseFault::new(entry.at, format!("unknown {kind}"));
    fault.within(name.trim_matches('"')).hint(suggestion(table, key, fields))
}

/// Returns a hint that names the key that was probably meant.
fn suggestion<T>(table: &str, key: &str, fields: &[&Field<T>]) -> String {
    let in_table = || fields.iter().filter(|field| field.table == table).map(|field| field.name);
    let tables = || fields.iter().map(|field| field.table).filter(|name| !name.is_empty());
    let in_any_table = |name: &str| fields.iter().find(|field| field.name == name);

    if let Some(field) = fields.iter().find(|f| !f.systemd.is_empty() && f.systemd == key) {
        return format!("systemd's {key}= is written here as: {}", field.usage());
    }
    if let Some(field) = in_any_table(key) {
        return match field.table {
            "" => format!("`{key}` goes above all tables: {}", field.usage()),
            right => format!("`{key}` belongs in [{right}]: {}", field.usage()),
        };
    }
    let near = match table {
        "" => nearest(key, in_table().chain(tables())),
        _ => nearest(key, in_table()),
    };
    if let Some(near) = near {
        return format!("did you mean `{near}`?");
    }
    let all = fields.iter().map(|field| field.name);
    if let Some(field) = nearest(key, all).and_then(in_any_table) {
        return format!("did you mean: {}", field.usage());
    }
    let mut known: Vec<_> = in_table().collect();
    if table.is_empty() {
        known.extend(tables());
        known.dedup();
    }
    match table {
        "" => format!("the keys and tables are {}", known.join(", ")),
        table => format!("the keys of [{table}] are {}", known.join(", ")),
    }
}

/// Stores a parsed value.
pub(crate) fn put<T>(
    slot: &mut T,
    value: Result<impl Into<T>, ParseFault>,
) -> Result<(), ParseFaults> {
    *slot = value?.into();
    Ok(())
}
