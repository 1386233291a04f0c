//! Credentials made from what a file holds, by the kind it says it is of.
//!
//! Must not read files or judge what they name; see `credential_file` for that.

use google_cloud_auth::build_errors::Error as BuilderError;
use google_cloud_auth::credentials::service_account::AccessSpecifier;
use google_cloud_auth::credentials::{
    Credentials, external_account, impersonated, service_account, user_account,
};
use serde_json::Value;

/// Credentials of a file that has been checked, for `scope` when one is given; `None` for a kind that is not known.
pub(super) fn credentials(
    file: Value,
    scope: Option<&str>,
) -> Option<Result<Credentials, BuilderError>> {
    let kind = file.get("type")?.as_str()?.to_owned();
    Some(match (kind.as_str(), scope) {
        ("service_account", None) => service_account::Builder::new(file).build(),
        ("service_account", Some(scope)) => service_account::Builder::new(file)
            .with_access_specifier(AccessSpecifier::from_scopes([scope]))
            .build(),
        ("authorized_user", None) => user_account::Builder::new(file).build(),
        ("authorized_user", Some(scope)) => user_account::Builder::new(file)
            .with_scopes([scope])
            .build(),
        ("external_account", None) => external_account::Builder::new(file).build(),
        ("external_account", Some(scope)) => external_account::Builder::new(file)
            .with_scopes([scope])
            .build(),
        ("impersonated_service_account", None) => impersonated::Builder::new(file).build(),
        ("impersonated_service_account", Some(scope)) => impersonated::Builder::new(file)
            .with_scopes([scope])
            .build(),
        _ => return None,
    })
}
