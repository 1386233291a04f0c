//! Where the service is, and who we are to it.
//!
//! Owns addresses, the rule that plain text stays on this machine, credentials and the making of clients.
//! Must not know tables or sessions. Reads environment variables only to look at the file that the credentials library is
//! about to use, and what that file may do.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use google_cloud_auth::credentials::{self, Credentials, anonymous};
use google_cloud_bigquery::client::Read;
use google_cloud_gax::retry_policy::NeverRetry;
use rustls::crypto::{CryptoProvider, ring};
use serde_json::Value;
use tokio::time::timeout;
use url::{Host, Url};

use super::retry::Timing;
use crate::error::{Error, ErrorKind, Result};

mod credential_file;
mod from_file;

const GOOGLE: &str = "https://bigquerystorage.googleapis.com";

/// Where credentials are looked for, for error texts.
pub(super) const CREDENTIAL_PLACES: &str = "GOOGLE_APPLICATION_CREDENTIALS, ~/.config/gcloud/application_default_credentials.json (made by `gcloud auth application-default login`) and the metadata server of Google Cloud machines";

/// What credentials are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Reading tables.
    Reading,
    /// Running queries, and making and removing the tables of their results.
    Jobs,
}

impl Scope {
    fn address(self) -> &'static str {
        match self {
            Self::Reading => "https://www.googleapis.com/auth/bigquery.readonly",
            Self::Jobs => "https://www.googleapis.com/auth/bigquery",
        }
    }
}

/// An address of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// Google's own.
    Google,
    /// Another one behind TLS, with credentials: a regional or private endpoint.
    Secure(String),
    /// An emulator on this machine: plain text, no credentials.
    Emulator(String),
}

impl Endpoint {
    /// The endpoint `written` by the user or found in the environment's emulator host, else Google's.
    ///
    /// # Errors
    /// Config for what is not an address; Auth for plain text to another machine.
    pub fn resolve(written: Option<&str>) -> Result<Self> {
        let Some(written) = written.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(Self::Google);
        };
        let full = if written.contains("://") {
            written.to_owned()
        } else {
            format!("http://{written}")
        };
        let wrong = |why: &str| {
            Error::config(format!(
                "BigQuery endpoint {written:?} {why}: write it like http://127.0.0.1:9050"
            ))
        };
        let url = Url::parse(&full).map_err(|e| wrong(&format!("is not an address ({e})")))?;
        if !url.username().is_empty() || url.password().is_some() {
            // Not repeated in the text: it holds a secret.
            return Err(Error::config(
                "BigQuery endpoint must not contain a user name or password",
            ));
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must be scheme, host and port only"));
        }
        let host = url.host().ok_or_else(|| wrong("names no host"))?;
        let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
        let address = format!("{}://{host}{port}", url.scheme());
        match url.scheme() {
            "https" => Ok(Self::Secure(address)),
            "http" if is_loopback(&host) => Ok(Self::Emulator(address)),
            "http" => Err(Error::new(
                ErrorKind::Auth,
                format!(
                    "plain text to {address} refused: http is for this machine only, use https"
                ),
            )),
            _ => Err(wrong("is neither http nor https")),
        }
    }

    /// The address of the REST API, which has a host of its own; none for Google's own.
    pub fn rest_address(&self) -> Option<String> {
        match self {
            Self::Google => None,
            Self::Secure(address) => Some(address.replacen("bigquerystorage", "bigquery", 1)),
            Self::Emulator(address) => Some(address.clone()),
        }
    }

    /// How patient to be with it.
    pub fn timing(&self) -> Timing {
        match self {
            Self::Emulator(_) => Timing::LOOPBACK,
            Self::Google | Self::Secure(_) => Timing::REMOTE,
        }
    }

    /// Credentials for it, checked to be usable, and asked for no more than `scope` needs: those of `file` when one is named.
    ///
    /// # Errors
    /// Auth, naming the file or the places looked at.
    pub async fn credentials(
        &self,
        timing: &Timing,
        scope: Scope,
        file: Option<&Path>,
    ) -> Result<Credentials> {
        choose_cryptography();
        if let Self::Emulator(_) = self {
            return Ok(anonymous::Builder::new().build());
        }
        let missing = |why: &str| {
            let text = match file {
                Some(path) => format!("credentials file {} is not usable ({why})", path.display()),
                None => {
                    format!("no usable Google credentials ({why}); looked at {CREDENTIAL_PLACES}")
                }
            };
            Error::new(ErrorKind::Auth, text)
        };
        let late = || {
            missing(&format!(
                "no answer within {} s",
                timing.credentials.as_secs()
            ))
        };
        let refused = |path: &Path, fault| {
            Error::with_source(
                ErrorKind::Auth,
                format!("credentials file {} is not used", path.display()),
                fault,
            )
        };
        // The same variables that the library is about to read.
        let variable = |name: &str| std::env::var_os(name);
        let content = match file {
            Some(path) => {
                Some(credential_file::read(path, &variable).map_err(|fault| refused(path, fault))?)
            }
            None => {
                credential_file::check_default(&variable)
                    .map_err(|(path, fault)| refused(&path, fault))?;
                None
            }
        };
        // The narrowest scope that does. Credentials that were granted other scopes, and cannot be narrowed, are taken as they are.
        let found = built(content.as_ref(), Some(scope), &missing)?;
        match timeout(timing.credentials, found.headers(Default::default())).await {
            Ok(Ok(_)) => return Ok(found),
            Ok(Err(e)) if e.is_transient() => return Err(missing("no token could be obtained")),
            Ok(Err(_)) => {}
            Err(_) => return Err(late()),
        }
        let found = built(content.as_ref(), None, &missing)?;
        match timeout(timing.credentials, found.headers(Default::default())).await {
            Ok(Ok(_)) => Ok(found),
            Ok(Err(e)) if e.is_transient() => Err(missing("no token could be obtained")),
            Ok(Err(e)) => Err(missing(&e.to_string().replace('\n', " "))),
            Err(_) => Err(late()),
        }
    }

    /// A client with a connection of its own, which is made when first used.
    ///
    /// # Errors
    /// Config when the address or the environment of Google's library does not fit.
    pub async fn client(&self, credentials: &Credentials) -> Result<Read> {
        let mut builder = Read::builder()
            .with_credentials(credentials.clone())
            .with_retry_policy(NeverRetry);
        if let Self::Secure(address) | Self::Emulator(address) = self {
            builder = builder.with_endpoint(address);
        }
        builder.build().await.map_err(|e| {
            let hint = if e.is_universe_domain_mismatch() {
                " (unset GOOGLE_CLOUD_UNIVERSE_DOMAIN)"
            } else {
                ""
            };
            Error::with_source(
                ErrorKind::Config,
                format!("cannot make a client for {self}{hint}"),
                e,
            )
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Google => f.write_str(GOOGLE),
            Self::Secure(address) | Self::Emulator(address) => f.write_str(address),
        }
    }
}

/// TLS and signatures by ring, unless the program has chosen before. Google's libraries ask for a choice.
fn choose_cryptography() {
    if CryptoProvider::get_default().is_none() {
        // Fails only when somebody else has been quicker, which is as good.
        let _ = ring::default_provider().install_default();
    }
}

/// Credentials of a file's content, else those that the library finds by itself; `missing` makes the error.
fn built(
    content: Option<&Value>,
    scope: Option<Scope>,
    missing: &impl Fn(&str) -> Error,
) -> Result<Credentials> {
    let scope = scope.map(Scope::address);
    let built = match content {
        Some(content) => from_file::credentials(content.clone(), scope)
            .ok_or_else(|| missing("its kind is not known"))?,
        None => {
            let builder = credentials::Builder::default();
            match scope {
                Some(scope) => builder.with_scopes([scope]),
                None => builder,
            }
            .build()
        }
    };
    built.map_err(|e| {
        // A file that cannot be parsed is not quoted: it may hold a key.
        if e.is_parsing() || e.is_missing_field() {
            missing("the file found does not hold credentials")
        } else {
            missing(&e.to_string())
        }
    })
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        Host::Ipv4(ip) => IpAddr::V4(*ip).is_loopback(),
        Host::Ipv6(ip) => IpAddr::V6(*ip).is_loopback(),
    }
}

#[cfg(test)]
mod tests;
