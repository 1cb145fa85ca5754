//! The scripts of the worker image pass the image's own test.

use std::path::Path;
use std::process::Command;

#[test]
fn the_image_scripts_pass_their_test() {
    let script = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../ami/test");
    let output = Command::new(&script).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
