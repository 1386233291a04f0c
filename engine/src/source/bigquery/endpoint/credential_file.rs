//! Whether a credentials file may be used: where it would send secrets, and what it would run.
//!
//! Owns the rules for addresses and programs named in such files, and what each kind has to hold. The credentials library follows whatever a file says, and
//! files of the kind `external_account` are meant to be handed around: one with another token address collects tokens. Must
//! not make credentials, and never repeats what a file holds, but for names of fields and hosts.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use url::{Host, Url};

/// Names the file to use.
const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
/// Allows files to name programs to run.
const PROGRAM_VARIABLE: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
/// Where secrets and tokens may be sent to.
const GOOGLE: &str = "googleapis.com";
const AMAZON: &str = "amazonaws.com";
/// Fields of a file, and of a file inside a file, that name Google's services.
const GOOGLE_FIELDS: [&str; 4] = [
    "token_uri",
    "token_url",
    "token_info_url",
    "service_account_impersonation_url",
];
/// Kinds of files, and what they have to hold.
const KINDS: [(&str, &[&str]); 4] = [
    (
        "service_account",
        &[
            "client_email",
            "private_key_id",
            "private_key",
            "project_id",
        ],
    ),
    (
        "authorized_user",
        &["client_id", "client_secret", "refresh_token"],
    ),
    (
        "external_account",
        &[
            "audience",
            "subject_token_type",
            "token_url",
            "credential_source",
        ],
    ),
    (
        "impersonated_service_account",
        &["service_account_impersonation_url", "source_credentials"],
    ),
];
/// Files inside of files that are looked into.
const DEEPEST: usize = 4;
/// A file that others can read, in mode bits.
const OTHERS_READ: u32 = 0o044;

/// Why a file is not used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum CredentialFault {
    /// A secret or a token would go somewhere else.
    #[error("its {field} names {host}, and secrets are sent to {expected} only")]
    ForeignHost {
        /// The field.
        field: String,
        /// The host it names.
        host: String,
        /// Who may receive secrets.
        expected: &'static str,
    },
    /// An address that is none, or not encrypted.
    #[error("its {field} is not an https address")]
    Address {
        /// The field.
        field: String,
    },
    /// A program would be run.
    #[error("it names a program to run, which is off unless {PROGRAM_VARIABLE} is 1")]
    Program,
    /// Something that a file of its kind has to hold is not there.
    #[error("it is of the kind {kind} and has no {field}")]
    Lacks {
        /// What the file says it is.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
    /// A file that is none of the kinds that are known.
    #[error("its type is none of {}", kinds())]
    UnknownKind,
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(io::ErrorKind),
    /// The file is something else.
    #[error("it holds no JSON object")]
    NoJson,
    /// Files in files without end.
    #[error("it holds credentials within credentials, more than {DEEPEST} deep")]
    TooDeep,
}

/// Checks the file that the credentials library would use under these environment variables. A file that is missing or
/// no JSON is left to the library's own error.
///
/// # Errors
/// The file and what is wrong with it.
pub(super) fn check_default(
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(), (PathBuf, CredentialFault)> {
    let path = match variable(FILE_VARIABLE) {
        Some(path) => PathBuf::from(path),
        None => match variable("HOME") {
            Some(home) => {
                PathBuf::from(home).join(".config/gcloud/application_default_credentials.json")
            }
            None => return Ok(()),
        },
    };
    let Some(file) = fs::read(&path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
    else {
        return Ok(());
    };
    warn_of_readers(&path);
    judge(&file, variable).map_err(|fault| (path, fault))
}

/// Reads the file that the user named, and checks it. It is read once, so that what is used is what was checked.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(
    path: &Path,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Value, CredentialFault> {
    let bytes = fs::read(path).map_err(|e| CredentialFault::Unreadable(e.kind()))?;
    // What the parser says quotes the file.
    let file: Value = serde_json::from_slice(&bytes).map_err(|_| CredentialFault::NoJson)?;
    if !file.is_object() {
        return Err(CredentialFault::NoJson);
    }
    if file.get("type").is_none() {
        return Err(CredentialFault::UnknownKind);
    }
    warn_of_readers(path);
    judge(&file, variable)?;
    Ok(file)
}

fn judge(file: &Value, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<(), CredentialFault> {
    let allowed = match variable(PROGRAM_VARIABLE) {
        Some(value) if value == "1" => Programs::Allowed,
        _ => Programs::Refused,
    };
    check(file, allowed, 0).and_then(|()| complete(file, 0))
}

fn kinds() -> String {
    KINDS.map(|(kind, _)| kind).join(", ")
}

/// Whether the file says what it is and holds what files of its kind hold; what is no object is left to the library.
fn complete(file: &Value, depth: usize) -> Result<(), CredentialFault> {
    let Some(said) = file.get("type") else {
        return Ok(());
    };
    let known = KINDS.iter().find(|(kind, _)| said == kind);
    let (kind, fields) = known.ok_or(CredentialFault::UnknownKind)?;
    let missing = fields.iter().find(|field| {
        let found = file.get(**field).unwrap_or(&Value::Null);
        found.is_null() || found.as_str().is_some_and(str::is_empty)
    });
    if let Some(field) = missing {
        return Err(CredentialFault::Lacks { kind, field });
    }
    match file.get("source_credentials") {
        Some(inner) if depth < DEEPEST => complete(inner, depth + 1),
        _ => Ok(()),
    }
}

/// Whether files may name programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Programs {
    Allowed,
    Refused,
}

fn check(file: &Value, programs: Programs, depth: usize) -> Result<(), CredentialFault> {
    if depth > DEEPEST {
        return Err(CredentialFault::TooDeep);
    }
    for field in GOOGLE_FIELDS {
        if let Some(address) = file.get(field).and_then(Value::as_str) {
            sent_to(field, address, GOOGLE)?;
        }
    }
    if let Some(inner) = file.get("source_credentials") {
        check(inner, programs, depth + 1)?;
    }
    let Some(source) = file.get("credential_source") else {
        return Ok(());
    };
    if source.get("executable").is_some() && programs == Programs::Refused {
        return Err(CredentialFault::Program);
    }
    let text = |field: &str| source.get(field).and_then(Value::as_str);
    if let Some(address) = text("regional_cred_verification_url") {
        // The region is put in later, and cannot be part of an address before.
        sent_to(
            "credential_source.regional_cred_verification_url",
            &address.replace("{region}", "region"),
            AMAZON,
        )?;
    }
    for field in ["url", "region_url", "imdsv2_session_token_url"] {
        if let Some(address) = text(field) {
            asked_at(&format!("credential_source.{field}"), address)?;
        }
    }
    Ok(())
}

/// Secrets go to `domain` and the hosts below it, encrypted.
fn sent_to(field: &str, address: &str, domain: &'static str) -> Result<(), CredentialFault> {
    let wrong = || CredentialFault::Address {
        field: field.to_owned(),
    };
    let url = Url::parse(address).map_err(|_| wrong())?;
    if url.scheme() != "https" {
        return Err(wrong());
    }
    let host = url.host_str().ok_or_else(wrong)?;
    let below = host
        .strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if below && matches!(url.port(), None | Some(443)) {
        return Ok(());
    }
    Err(CredentialFault::ForeignHost {
        field: field.to_owned(),
        host: host.to_owned(),
        expected: domain,
    })
}

/// A first token may be asked for wherever the identity provider is. Without encryption that is this machine, or the metadata
/// service of its cloud, whose address is on the machine's own link.
fn asked_at(field: &str, address: &str) -> Result<(), CredentialFault> {
    let url = Url::parse(address).ok();
    let fine = url.is_some_and(|url| match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Ipv4(ip))) => ip.is_loopback() || ip.is_link_local(),
        ("http", Some(Host::Ipv6(ip))) => ip.is_loopback() || ip.is_unique_local(),
        ("http", Some(Host::Domain(name))) => name == "localhost",
        _ => false,
    });
    if fine {
        return Ok(());
    }
    Err(CredentialFault::Address {
        field: field.to_owned(),
    })
}

fn warn_of_readers(path: &Path) {
    if fs::metadata(path).is_ok_and(|file| file.mode() & OTHERS_READ != 0) {
        tracing::warn!(path = %path.display(), "other users of this machine can read the credentials file");
    }
}

#[cfg(test)]
mod tests;
