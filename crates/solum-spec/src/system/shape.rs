//! Whether a text has the shape of a `solum.toml`: keys that exist, values of the right kind, nothing missing.
//!
//! The schema that editors read is the measure. All that is wrong is told, and taken out of the tree, so that the rest
//! can be read and checked as well.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::diagnostic::Diagnostic;
use super::suggest::{hint, nearest, quoted};

/// What was taken out of a tree.
#[derive(Debug, Default)]
pub struct Damage {
    /// What was wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// What is missing now: the keys that lead to it. A misspelt key stands for the one that was meant.
    places: Vec<Vec<String>>,
}

impl Damage {
    /// Whether what has this path was taken out, or something within it.
    pub fn is_within(&self, path: &[&str]) -> bool {
        self.places
            .iter()
            .any(|place| place.len() >= path.len() && place.iter().zip(path).all(|(a, b)| a == b))
    }

    /// Whether the very thing with this path was taken out.
    pub fn is_at(&self, path: &[&str]) -> bool {
        self.places.iter().any(|place| place == path)
    }
}

/// Takes everything out of `root` that does not fit `schema`.
pub fn check(root: &mut DeTable<'_>, schema: &Value) -> Damage {
    let mut check = Check { root: schema, path: Vec::new(), damage: Damage::default() };
    check.table(root, schema, &(0..0));
    check.damage
}

struct Check<'a> {
    root: &'a Value,
    path: Vec<String>,
    damage: Damage,
}

impl<'a> Check<'a> {
    /// The schema itself, where it only names another.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        // A schema that may carry a description beside a reference wraps the reference.
        while let Some(inner) = schema.get("allOf").and_then(|all| all.get(0)) {
            schema = inner;
        }
        let name = schema.get("$ref").and_then(Value::as_str);
        match name.and_then(|name| self.root.pointer(name.trim_start_matches('#'))) {
            Some(found) => self.resolved(found),
            None => schema,
        }
    }

    /// The value of the key `name` has to go.
    fn wrong(&mut self, name: &str, diagnostic: Diagnostic) -> bool {
        self.damage.diagnostics.push(diagnostic);
        self.damage.places.push([&self.path[..], &[name.to_owned()]].concat());
        false
    }

    fn table(&mut self, table: &mut DeTable<'_>, schema: &'a Value, at: &Range<usize>) {
        let empty = Map::new();
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut wrong = Vec::new();
        for (key, value) in table.iter_mut() {
            let name = key.get_ref().as_ref();
            let stays = match known.and_then(|known| known.get(name)).or(others) {
                Some(schema) => self.entry(name, &key.span(), value, schema),
                None => {
                    let known = known.unwrap_or(&empty);
                    let unknown = unknown(&self.path, name, key.span(), known);
                    let meant = nearest(name, known.keys().map(String::as_str)).unwrap_or(name);
                    self.wrong(meant, unknown)
                }
            };
            if !stays {
                wrong.push(name.to_owned());
            }
        }
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            let is_misspelt = || self.damage.places.iter().any(|place| is_path(place, &self.path, name));
            if !table.contains_key(name) && !is_misspelt() {
                let message = format!("{} has no `{name}`", describe(&self.path));
                let example = known.and_then(|known| known.get(name)).map(|schema| self.resolved(schema));
                let hint = format!("add {}", added(name, example));
                self.damage.diagnostics.push(Diagnostic::new(at.clone(), message).hint(hint));
            }
        }
        for name in wrong {
            table.remove(name.as_str());
        }
    }

    /// Whether the value may stay.
    fn entry(
        &mut self,
        name: &str,
        at: &Range<usize>,
        value: &mut Spanned<DeValue<'_>>,
        schema: &'a Value,
    ) -> bool {
        let schema = self.resolved(schema);
        let place = value.span();
        let alternatives = schema.get("anyOf").and_then(Value::as_array);
        let found = value.get_ref().type_str();
        let fitting = match alternatives {
            None => Some(schema).filter(|schema| kind(schema) == kind_of(value.get_ref())),
            Some(all) => {
                all.iter().map(|one| self.resolved(one)).find(|one| kind(one) == kind_of(value.get_ref()))
            }
        };
        let Some(schema) = fitting else {
            let wanted: Vec<&Value> = match alternatives {
                None => vec![schema],
                Some(all) => all.iter().map(|one| self.resolved(one)).collect(),
            };
            let wrong = wrong_kind(&self.path, name, found, &wanted);
            // A table's place is its header; what is wrong about it is its name.
            let place = if value.get_ref().is_table() { at.clone() } else { place };
            return self.wrong(name, Diagnostic { span: place, ..wrong });
        };
        match value.get_mut() {
            DeValue::Table(table) => {
                self.path.push(name.to_owned());
                self.table(table, schema, at);
                self.path.pop();
                true
            }
            DeValue::Array(array) => {
                let Some(items) = schema.get("items") else { return true };
                let mut fits = true;
                for item in array.iter_mut() {
                    fits &= self.item(name, item, items);
                }
                fits
            }
            DeValue::String(text) => {
                let Some(words) = words(schema).filter(|words| !words.contains(&text.as_ref())) else {
                    return true;
                };
                let message = format!("`{name}` cannot be `{text}`");
                let hint = hint(text, words, "it can be");
                self.wrong(name, Diagnostic::new(place, message).hint(hint))
            }
            DeValue::Integer(integer) => match outside(integer, schema) {
                None => true,
                Some((least, most)) => {
                    let message = format!("`{name}` is {integer}, which is not from {least} to {most}");
                    self.wrong(name, Diagnostic::new(place, message))
                }
            },
            _ => true,
        }
    }

    /// Whether an element of an array may stay.
    fn item(&mut self, name: &str, item: &mut Spanned<DeValue<'_>>, schema: &'a Value) -> bool {
        let span = item.span();
        if kind(self.resolved(schema)) == kind_of(item.get_ref()) {
            return self.entry(name, &span, item, schema);
        }
        let wanted = kind(self.resolved(schema)).map_or("something else", plural);
        let found = written(item.get_ref().type_str());
        self.wrong(name, Diagnostic::new(span, format!("the array `{name}` holds {wanted}, not {found}")))
    }
}

/// Whether `place` is `name` within `path`.
fn is_path(place: &[String], path: &[String], name: &str) -> bool {
    place.split_last().is_some_and(|(last, before)| last == name && before == path)
}

fn unknown(path: &[String], name: &str, span: Range<usize>, known: &Map<String, Value>) -> Diagnostic {
    let message = format!("{} has no key `{name}`", describe(path));
    let shown = match path {
        [] => "a file has".to_owned(),
        [.., _] => "it can have".to_owned(),
    };
    Diagnostic::new(span, message).hint(hint(name, known.keys().map(String::as_str), &shown))
}

fn wrong_kind(path: &[String], name: &str, found: &str, wanted: &[&Value]) -> Diagnostic {
    let kinds: Vec<&str> = wanted.iter().filter_map(|schema| kind(schema)).map(article).collect();
    let wants_table = wanted.iter().all(|schema| kind(schema) == Some("object"));
    let key = match path {
        // The user chose the last word.
        [.., table] if ["disk", "screen", "ports", "environment", "assets"].contains(&table.as_str()) => {
            format!("{table}.{name}")
        }
        _ => name.to_owned(),
    };
    let message = format!("`{key}` takes {}, not {}", kinds.join(" or "), written(found));
    let diagnostic = Diagnostic::new(0..0, message);

    let example = wanted.iter().find_map(|schema| example(schema));
    diagnostic.hint(match path {
        [] if wants_table => {
            let is_named = wanted.iter().all(|schema| schema.get("properties").is_none());
            let header = if is_named { format!("[{name}.NAME]") } else { format!("[{name}]") };
            Some(format!("write `{header}` above its keys"))
        }
        [section] if wants_table => {
            Some(format!("a {section} has a name of its own: write `[{section}.NAME]` above its keys"))
        }
        [section, owner, kind] if wants_table && section == "machine" && kind == "unit" => {
            Some(format!("write `[machine.{owner}.unit.NAME]` above the keys of a unit"))
        }
        _ => example.map(|example| format!("write it like `{key} = {example}`")),
    })
}

/// The kind of value that a schema is about.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type").and_then(Value::as_str) {
        // Words with an explanation each are alternatives of constants.
        None => words(schema).map(|_| "string"),
        kind => kind,
    }
}

fn kind_of(value: &DeValue<'_>) -> Option<&'static str> {
    Some(match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Boolean(_) => "boolean",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
        DeValue::Float(_) | DeValue::Datetime(_) => return None,
    })
}

fn article(kind: &str) -> &'static str {
    match kind {
        "string" => "a string",
        "integer" => "an integer",
        "boolean" => "`true` or `false`",
        "array" => "an array",
        _ => "a table",
    }
}

fn plural(kind: &str) -> &'static str {
    match kind {
        "string" => "strings",
        "integer" => "integers",
        _ => "values of another kind",
    }
}

fn written(found: &str) -> String {
    match found {
        "boolean" => "a boolean".to_owned(),
        "integer" | "array" => format!("an {found}"),
        other => format!("a {other}"),
    }
}

/// The words that a value can be, if there are only some.
fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        return Some(words.iter().filter_map(Value::as_str).collect());
    }
    let constants = schema.get("oneOf").and_then(Value::as_array)?;
    // Words without an explanation are gathered into one alternative.
    let each = constants.iter().map(|one| match one.get("const").and_then(Value::as_str) {
        Some(word) => vec![word],
        None => words(one).unwrap_or_default(),
    });
    Some(each.flatten().collect())
}

fn example(schema: &Value) -> Option<String> {
    match kind(schema)? {
        "string" => {
            let word = words(schema).and_then(|words| words.first().copied());
            let example = schema.get("examples").and_then(|all| all.get(0)).and_then(Value::as_str);
            Some(format!("{:?}", word.or(example).unwrap_or("…")))
        }
        "integer" => Some("1".into()),
        "boolean" => Some("true".into()),
        "array" => Some("[…]".into()),
        _ => None,
    }
}

fn added(name: &str, schema: Option<&Value>) -> String {
    match schema.and_then(example) {
        Some(example) => format!("`{name} = {example}`"),
        None => format!("a table `[{name}]`"),
    }
}

/// The limits, if the number is not within.
fn outside(integer: &DeInteger<'_>, schema: &Value) -> Option<(i64, i64)> {
    let limit = |name| schema.get(name).and_then(Value::as_f64).map(|limit| limit as i64);
    let (least, most) = (limit("minimum").unwrap_or(i64::MIN), limit("maximum").unwrap_or(i64::MAX));
    let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
    let within = number.is_some_and(|number| (least..=most).contains(&number));
    (!within).then_some((least, most))
}

/// What the keys lead to, for people.
pub fn describe(path: &[String]) -> String {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => "the description".to_owned(),
        [section] => format!("`[{section}]`"),
        ["machine", _, kind, name] => format!("{kind} `{name}`"),
        ["machine", _, "unit", name, table] => format!("`{table}` of unit `{name}`"),
        [section, name] => format!("{section} `{name}`"),
        other => quoted(other.iter().copied()),
    }
}
