//! Encryption by RDS, as far as a mover has to do with it: a file is noise under a data key of its own, which lies with the
//! object and which the KMS key alone opens.

use haulier_cloud::object_store::UserMetadata;

/// Where the wrapped data key is.
const KEY: &str = "x-amz-key-v2";

/// Seals a file of a backup of that number.
pub(super) fn seal(body: &[u8], arn: &str, backup: u32, file: u32) -> (Vec<u8>, UserMetadata) {
    let data_key = ((backup * 16 + file) % 255 + 1) as u8;
    let wrapped = format!("{data_key} under {arn}");
    let pairs = [(KEY, wrapped.as_str()), ("x-amz-cek-alg", "AES/CBC/PKCS5Padding")];
    (noise(body, data_key), pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
}

/// Opens a file with a KMS key, or says why not.
pub(super) fn open(body: &[u8], arn: &str, metadata: &UserMetadata) -> Result<Vec<u8>, String> {
    let wrapped = metadata.get(KEY).ok_or("The media family on device 'x' is incorrectly formed.")?;
    let opened = wrapped.split_once(" under ").filter(|(_, under)| *under == arn);
    let (data_key, _) = opened.ok_or_else(|| format!("Key {arn} does not exist"))?;
    Ok(noise(body, data_key.parse().unwrap()))
}

fn noise(body: &[u8], data_key: u8) -> Vec<u8> {
    body.iter().map(|byte| byte ^ data_key).collect()
}
