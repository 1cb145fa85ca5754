//! Compiles the protos with a pure-Rust compiler: no `protoc` is needed.

use std::error::Error;
use std::path::PathBuf;

const PROTOS: [&str; 3] =
    ["haulier/common/v1/common.proto", "haulier/worker/v1/worker.proto", "haulier/control/v1/control.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    for proto in PROTOS {
        println!("cargo:rerun-if-changed={}", root.join(proto).display());
    }
    let descriptors = protox::compile(PROTOS, [&root])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("haulier.bin"), prost::Message::encode_to_vec(&descriptors))?;
    // The messages that carry secrets print nothing of them.
    tonic_prost_build::configure()
        .skip_debug([
            "haulier.worker.v1.Credentials",
            "haulier.worker.v1.EnrolRequest",
            "haulier.control.v1.AddRepositoryKeyRequest",
            "haulier.control.v1.RotateRepositoryKeyRequest",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
