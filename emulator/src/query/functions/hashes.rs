//! MD5, SHA1, SHA256, SHA512 and FARM_FINGERPRINT of texts and bytes, for keys and fingerprints; nothing here is a secret.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::ScalarUDF;
use md5::{Digest, Md5};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512, digest};

use super::{Call, Function, integer, nullable};

pub(super) fn functions() -> Vec<ScalarUDF> {
    vec![
        Function::made(
            "millpond_md5",
            &[1],
            |_| nullable(DataType::Binary),
            |c| hashed(c, md5),
        ),
        Function::made(
            "millpond_sha1",
            &[1],
            |_| nullable(DataType::Binary),
            |c| hashed(c, sha1),
        ),
        Function::made(
            "millpond_sha256",
            &[1],
            |_| nullable(DataType::Binary),
            |c| hashed(c, sha256),
        ),
        Function::made(
            "millpond_sha512",
            &[1],
            |_| nullable(DataType::Binary),
            |c| hashed(c, sha512),
        ),
        Function::made("millpond_farm_fingerprint", &[1], integer, |call| {
            let one = |message: &[u8]| farmhash::fingerprint64(message).cast_signed();
            let array = call.array(0)?;
            let values: Int64Array = match array.as_binary_opt::<i32>() {
                Some(bytes) => bytes.iter().map(|value| value.map(one)).collect(),
                None => {
                    let texts = call.texts(0)?;
                    texts
                        .iter()
                        .map(|value| value.map(|v| one(v.as_bytes())))
                        .collect()
                }
            };
            Ok(Arc::new(values))
        }),
    ]
}

fn hashed(call: &Call, hash: fn(&[u8]) -> Vec<u8>) -> Result<ArrayRef> {
    let array = call.array(0)?;
    if let Some(bytes) = array.as_binary_opt::<i32>() {
        let hashes = bytes.iter().map(|value| value.map(hash));
        return Ok(Arc::new(hashes.collect::<BinaryArray>()));
    }
    let texts = call.texts(0)?;
    let hashes = texts.iter().map(|value| value.map(|v| hash(v.as_bytes())));
    Ok(Arc::new(hashes.collect::<BinaryArray>()))
}

fn md5(message: &[u8]) -> Vec<u8> {
    Md5::digest(message).to_vec()
}

fn sha1(message: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, message).as_ref().to_vec()
}

fn sha256(message: &[u8]) -> Vec<u8> {
    digest(&SHA256, message).as_ref().to_vec()
}

fn sha512(message: &[u8]) -> Vec<u8> {
    digest(&SHA512, message).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn hashes_are_those_of_their_definitions() {
        // The definitions' own examples, and a message of more than a block.
        assert_eq!(hex(&md5(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex(&md5(b"abc")), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex(&md5(&[b'a'; 100])), "36a92cc94a9e0fa21f625f8bfb007adf");
        assert_eq!(
            hex(&sha1(b"abc")),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(&sha512(b"abc")),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
    }
}
