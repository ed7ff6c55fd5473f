//! The JSON Schema that is committed is the one that the types make.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::Path;

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/solum.schema.json");
    let made = solum_spec::system::schema_text();
    if std::env::var_os("SOLUM_BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(committed == made, "docs/solum.schema.json is old: set SOLUM_BLESS=1 and run this test again");
}
