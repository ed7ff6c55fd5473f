//! The JSON Schema of `solum.toml`, made from the very types that it is read into.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;

use super::raw::File;

/// The schema, as draft 7 of JSON Schema, which editors understand (Taplo and Even Better TOML do).
pub fn schema() -> Value {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<File>().to_value();
    without_null(&mut schema);
    schema
}

/// TOML has no null: what is optional is left out. So `null` is no kind of value, and no default.
fn without_null(schema: &mut Value) {
    let is_null = |value: &Value| value.is_null() || value == "null" || value["type"] == "null";
    if let Some(object) = schema.as_object_mut() {
        object.remove("default");
        // What a number is called in Rust says nothing to an editor.
        object.remove("format");
        for list in ["type", "anyOf"] {
            let Some(Value::Array(all)) = object.get_mut(list) else { continue };
            all.retain(|one| !is_null(one));
            match (list, all.as_mut_slice()) {
                ("type", [one]) => {
                    let one = one.take();
                    object.insert(list.to_owned(), one);
                }
                ("anyOf", [Value::Object(one)]) => {
                    let one = std::mem::take(one);
                    object.remove(list);
                    // What is said of the key is said before what is said of its type.
                    for (key, value) in one {
                        object.entry(key).or_insert(value);
                    }
                }
                _ => {}
            }
        }
    }
    let Some(object) = schema.as_object_mut() else { return };
    for (key, within) in object {
        match (key.as_str(), within) {
            // Here the keys are names, which may be any word.
            ("properties" | "definitions", Value::Object(named)) => named.values_mut().for_each(without_null),
            (_, Value::Array(all)) => all.iter_mut().for_each(without_null),
            (_, within) => without_null(within),
        }
    }
}

/// The schema as a text, as it is committed and printed.
pub fn schema_text() -> String {
    // A tree of JSON values has no way not to be JSON.
    serde_json::to_string_pretty(&schema()).unwrap_or_default() + "\n"
}

/// A name that a user gives.
pub fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[a-z][a-z0-9-]*$", "maxLength": 63, "examples": ["example"] })
}

/// The name of a program.
pub fn program(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": ["PROGRAM"] })
}

/// The package of a simulation.
pub fn simulation(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "examples": ["simulation"] })
}

/// An amount of memory or storage.
pub fn size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "pattern": "^\\s*[0-9]+\\s*([KkMmGgTt]([Ii]?[Bb])?|[Bb])?\\s*$",
        "examples": ["64 MiB"]
    })
}

/// A length of time.
pub fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(ms|s|min|h)\\s*$", "examples": ["10 s"] })
}

/// Pixels of a screen.
pub fn screen_size(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[0-9]+x[0-9]+$", "examples": ["1024x768"] })
}

/// What can be plugged into a port.
pub fn target(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "examples": ["disk.a", "screen.main", "keys", "tcp.8080", "unit.port", "machine/unit.port"]
    })
}

/// A table whose keys are absolute paths.
pub fn machine_path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "propertyNames": { "pattern": "^/" },
        "additionalProperties": { "type": "string" }
    })
}
