//! Objects: described, listed, copied, put together, removed.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::checksums::Checksums;
use super::{DEFAULT_PAGE, downloads, failed, no_bucket, on_buckets, time};
use crate::buckets::{Buckets, Object};
use crate::catalog::micros;
use crate::rest_service::error::RestError;
use crate::rest_service::incoming::{Body, Params};
use crate::rest_service::{Answer, Page, RestState, Shared, resource};

/// A number that is another one when an object has been written again.
pub(super) fn generation(object: &Object) -> String {
    micros(object.modified).to_string()
}

/// An object in the REST form; its checksums need its bytes.
pub(super) fn object_json(endpoint: &str, object: &Object, sums: Option<&Checksums>) -> Value {
    let (bucket, name) = (&object.bucket, &object.name);
    let escaped = escaped(name);
    let generation = generation(object);
    let at = time(object.modified);
    let mut body = json!({
        "kind": "storage#object",
        "id": format!("{bucket}/{name}/{generation}"),
        "selfLink": format!("{endpoint}/storage/v1/b/{bucket}/o/{escaped}"),
        "mediaLink": format!("{endpoint}/download/storage/v1/b/{bucket}/o/{escaped}?generation={generation}&alt=media"),
        "name": name,
        "bucket": bucket,
        "generation": generation,
        "metageneration": "1",
        "contentType": "application/octet-stream",
        "storageClass": "STANDARD",
        "size": object.len.to_string(),
        "etag": resource::etag(&format!("{bucket}/{name}/{generation}")),
        "timeCreated": at,
        "updated": at,
    });
    if let Some(sums) = sums {
        body["md5Hash"] = json!(sums.md5);
        body["crc32c"] = json!(sums.crc32c);
    }
    body
}

fn escaped(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// A part of an address without its percent signs.
pub(super) fn decoded(text: &str) -> String {
    percent(text).unwrap_or_else(|| text.to_owned())
}

fn percent(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// An object with its checksums.
pub(super) async fn whole(state: &Arc<RestState>, bucket: &str, name: &str) -> Answer {
    let object = downloads::found(state, bucket.to_owned(), name.to_owned()).await?;
    let bytes = downloads::bytes(state, object.clone()).await?;
    let sums = Checksums::of(&bytes);
    Ok(Json(object_json(&state.endpoint, &object, Some(&sums))))
}

#[derive(Debug, Deserialize)]
pub(super) struct Alternative {
    alt: Option<String>,
}

/// The description of an object, or its bytes.
pub(super) async fn get(
    State(state): Shared,
    Path((bucket, name)): Path<(String, String)>,
    Params(options): Params<Alternative>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    if options.alt.as_deref() == Some("media") {
        return download(State(state), Path((bucket, name)), headers).await;
    }
    Ok(whole(&state, &bucket, &name).await?.into_response())
}

/// The bytes of an object.
pub(super) async fn download(
    State(state): Shared,
    Path((bucket, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let object = downloads::found(&state, bucket, name).await?;
    downloads::answer(&state, object, &headers).await
}

/// Nothing about an object can be changed but its bytes.
pub(super) async fn describe(
    State(state): Shared,
    Path((bucket, name)): Path<(String, String)>,
) -> Answer {
    whole(&state, &bucket, &name).await
}

pub(super) async fn delete(
    State(state): Shared,
    Path((bucket, name)): Path<(String, String)>,
) -> Result<StatusCode, RestError> {
    on_buckets(&state, move |buckets| {
        let removed = buckets.remove(&bucket, &name);
        if removed.map_err(|e| failed(&e, &name))? {
            return Ok(());
        }
        Err(super::no_object(&bucket, &name))
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectList {
    prefix: Option<String>,
    delimiter: Option<String>,
    start_offset: Option<String>,
    end_offset: Option<String>,
    max_results: Option<usize>,
    page_token: Option<String>,
}

pub(super) async fn list(
    State(state): Shared,
    Path(bucket): Path<String>,
    Params(options): Params<ObjectList>,
) -> Answer {
    let prefix = options.prefix.clone().unwrap_or_default();
    let mut objects = on_buckets(&state, move |buckets| {
        if !buckets.has(&bucket) {
            return Err(no_bucket(&bucket));
        }
        let objects = buckets.objects(&bucket, &prefix);
        objects.map_err(|e| failed(&e, &bucket))
    })
    .await?;
    objects.retain(|object| {
        let name = object.name.as_str();
        let from = options.start_offset.as_deref();
        let to = options.end_offset.as_deref().filter(|to| !to.is_empty());
        from.is_none_or(|from| name >= from) && to.is_none_or(|to| name < to)
    });
    let begins = options.prefix.as_deref().unwrap_or_default().len();
    let mut prefixes = BTreeSet::new();
    if let Some(delimiter) = options.delimiter.as_deref().filter(|d| !d.is_empty()) {
        objects.retain(|object| {
            let rest = object.name.get(begins..).unwrap_or_default();
            let Some(at) = rest.find(delimiter) else {
                return true;
            };
            let end = begins + at + delimiter.len();
            prefixes.extend(object.name.get(..end).map(str::to_owned));
            false
        });
    }
    let page = Page {
        max_results: Some(options.max_results.unwrap_or(DEFAULT_PAGE)),
        page_token: options.page_token,
    };
    let (objects, next) = page.take(objects)?;
    let items = objects
        .iter()
        .map(|object| object_json(&state.endpoint, object, None));
    let mut body = json!({"kind": "storage#objects", "items": items.collect::<Vec<_>>()});
    if !prefixes.is_empty() {
        body["prefixes"] = json!(prefixes);
    }
    if let Some(next) = next {
        body["nextPageToken"] = json!(next);
    }
    Ok(Json(body))
}

/// What is done to an object under another name, `rewriteTo` or `copyTo`, or out of others, `compose`.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    Copy {
        from: String,
        rewrite: bool,
        bucket: String,
        to: String,
    },
    Compose {
        to: String,
    },
}

/// Takes apart what follows `/o/` in a path, before anything in it is decoded.
fn meant(rest: &str) -> Option<Call> {
    if let Some(to) = rest.strip_suffix("/compose") {
        return Some(Call::Compose { to: decoded(to) });
    }
    let (word, rewrite) = match rest.contains("/rewriteTo/b/") {
        true => ("/rewriteTo/b/", true),
        false => ("/copyTo/b/", false),
    };
    let (from, target) = rest.split_once(word)?;
    let (bucket, to) = target.split_once("/o/")?;
    Some(Call::Copy {
        from: decoded(from),
        rewrite,
        bucket: decoded(bucket),
        to: decoded(to),
    })
}

pub(super) async fn call(
    State(state): Shared,
    Path((bucket, _)): Path<(String, String)>,
    uri: Uri,
    Body(body): Body,
) -> Answer {
    let rest = uri.path().split_once("/o/").map_or("", |(_, rest)| rest);
    let call = meant(rest).ok_or_else(|| RestError::invalid("Unknown method of an object"))?;
    match call {
        Call::Compose { to } => {
            let parts = body["sourceObjects"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let names = parts.iter().filter_map(|part| part["name"].as_str());
            let names: Vec<String> = names.map(str::to_owned).collect();
            put_together(&state, (&bucket, names), (&bucket, &to)).await?;
            whole(&state, &bucket, &to).await
        }
        Call::Copy {
            from,
            rewrite,
            bucket: target,
            to,
        } => {
            put_together(&state, (&bucket, vec![from]), (&target, &to)).await?;
            let Json(object) = whole(&state, &target, &to).await?;
            if !rewrite {
                return Ok(Json(object));
            }
            let size = object["size"].clone();
            Ok(Json(json!({
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": size,
                "objectSize": size,
                "done": true,
                "resource": object,
            })))
        }
    }
}

/// Writes the bytes of objects, one after the other, as another one.
async fn put_together(
    state: &Arc<RestState>,
    (source, names): (&str, Vec<String>),
    (bucket, to): (&str, &str),
) -> Result<(), RestError> {
    let (source, bucket, to) = (source.to_owned(), bucket.to_owned(), to.to_owned());
    on_buckets(state, move |buckets| {
        let mut all = Vec::new();
        for name in &names {
            let object = buckets
                .object(&source, name)
                .map_err(|e| failed(&e, name))?;
            let object = object.ok_or_else(|| super::no_object(&source, name))?;
            all.extend(std::fs::read(&object.path).map_err(|e| failed(&e, name))?);
        }
        put(buckets, &bucket, &to, &all)
    })
    .await
}

/// Writes an object.
pub(super) fn put(
    buckets: &Buckets,
    bucket: &str,
    name: &str,
    bytes: &[u8],
) -> Result<(), RestError> {
    if !buckets.has(bucket) {
        return Err(no_bucket(bucket));
    }
    let written = buckets.begin(bucket, name).and_then(|mut object| {
        object.write_all(bytes)?;
        object.finish()
    });
    written.map_err(|e| failed(&e, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_may_hold_what_paths_do_not() {
        assert_eq!(escaped("a b/ü.csv"), "a%20b%2F%C3%BC.csv");
        assert_eq!(decoded("a%20b%2F%C3%BC.csv"), "a b/ü.csv");
        assert_eq!(decoded("100%"), "100%");
        let copy = |rewrite| Call::Copy {
            from: "a/b".to_owned(),
            rewrite,
            bucket: "c".to_owned(),
            to: "d/e".to_owned(),
        };
        assert_eq!(meant("a%2Fb/rewriteTo/b/c/o/d%2Fe"), Some(copy(true)));
        assert_eq!(meant("a%2Fb/copyTo/b/c/o/d%2Fe"), Some(copy(false)));
        let to = "a/b".to_owned();
        assert_eq!(meant("a%2Fb/compose"), Some(Call::Compose { to }));
        assert_eq!(meant("a%2Fb"), None);
    }
}
