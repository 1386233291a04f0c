//! Datasets: made, listed, described, changed, dropped.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::RestError;
use super::incoming::{Body, Params};
use super::{Answer, Page, RestState, Shared, blocking, object, precondition, resource};
use crate::catalog::{CatalogError, Contents, DatasetMetadata};
use crate::name::is_hidden_dataset;

/// What a client may say of a dataset, apart from its name. Anything else is not kept: what the server sets, and names that
/// there are not.
const KEPT: [&str; 17] = [
    "access",
    "defaultCollation",
    "defaultEncryptionConfiguration",
    "defaultPartitionExpirationMs",
    "defaultRoundingMode",
    "defaultTableExpirationMs",
    "description",
    "externalCatalogDatasetOptions",
    "externalDatasetReference",
    "friendlyName",
    "isCaseInsensitive",
    "labels",
    "linkedDatasetSource",
    "location",
    "maxTimeTravelHours",
    "resourceTags",
    "storageBillingModel",
];

fn kept(mut body: Map<String, Value>) -> Map<String, Value> {
    body.retain(|key, _| KEPT.contains(&key.as_str()));
    body
}

fn settings(body: Map<String, Value>) -> Map<String, Value> {
    let mut body = kept(body);
    body.retain(|_, value| !value.is_null());
    body
}

pub(super) async fn insert(
    State(state): Shared,
    Path(project): Path<String>,
    Body(body): Body,
) -> Answer {
    let body = object(body)?;
    let dataset = body
        .get("datasetReference")
        .and_then(|r| r.get("datasetId"))
        .and_then(Value::as_str)
        .ok_or_else(|| {
            RestError::invalid("Required parameter is missing: datasetReference.datasetId")
        })?
        .to_owned();
    let (p, d) = (project.clone(), dataset.clone());
    let made = blocking(&state, move |catalog| {
        catalog.create_dataset(&p, &d, settings(body))
    })
    .await?;
    Ok(Json(resource::dataset(
        &state.endpoint,
        &project,
        &dataset,
        &made,
    )))
}

/// How much of a dataset is told.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DatasetView {
    dataset_view: Option<String>,
}

pub(super) async fn get(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Params(view): Params<DatasetView>,
    headers: HeaderMap,
) -> Answer {
    let (p, d) = (project.clone(), dataset.clone());
    let found = blocking(&state, move |catalog| catalog.dataset(&p, &d)).await?;
    let mut told = resource::dataset(&state.endpoint, &project, &dataset, &found);
    precondition::check_news(&headers, &told)?;
    resource::dataset_view(&mut told, view.dataset_view.as_deref())?;
    Ok(Json(told))
}

/// Keys given are set, keys given as null are removed, others stay.
pub(super) async fn patch(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    let mut body = kept(object(body)?);
    let place = body.remove("location");
    change(&state, (project, dataset), headers, place, |settings| {
        super::merge(settings, body);
    })
    .await
}

/// The whole description is replaced; what is not given is removed.
pub(super) async fn update(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    headers: HeaderMap,
    Body(body): Body,
) -> Answer {
    let mut body = settings(object(body)?);
    let place = body.remove("location");
    change(&state, (project, dataset), headers, place, |settings| {
        let location = settings.remove("location");
        *settings = body;
        if let Some(location) = location {
            settings.insert("location".to_owned(), location);
        }
    })
    .await
}

/// Changes what a client says of a dataset; where it is cannot be changed, but said again.
async fn change(
    state: &Arc<RestState>,
    (project, dataset): (String, String),
    headers: HeaderMap,
    place: Option<Value>,
    change: impl FnOnce(&mut Map<String, Value>) + Send + 'static,
) -> Answer {
    let endpoint = state.endpoint.clone();
    let changed = blocking(state, move |catalog| {
        let described =
            |now: &DatasetMetadata| resource::dataset(&endpoint, &project, &dataset, now);
        let now = catalog.dataset(&project, &dataset)?;
        precondition::check(&headers, &described(&now))?;
        let place = place.as_ref().and_then(Value::as_str);
        if let Some(place) = place.filter(|place| !place.eq_ignore_ascii_case(now.location())) {
            return Err(RestError::invalid(&format!(
                "Dataset {project}:{dataset} is in {} and cannot be moved to {place}",
                now.location()
            )));
        }
        let changed = catalog.update_dataset(&project, &dataset, change)?;
        Ok::<_, RestError>(described(&changed))
    })
    .await?;
    Ok(Json(changed))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeleteOptions {
    #[serde(default)]
    delete_contents: Option<String>,
}

pub(super) async fn delete(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Params(options): Params<DeleteOptions>,
    headers: HeaderMap,
) -> Result<StatusCode, RestError> {
    let endpoint = state.endpoint.clone();
    let contents = match options.delete_contents.as_deref() {
        Some("true" | "True") => Contents::Delete,
        _ => Contents::Refuse,
    };
    blocking(&state, move |catalog| {
        let now = catalog.dataset(&project, &dataset)?;
        let now = resource::dataset(&endpoint, &project, &dataset, &now);
        precondition::check(&headers, &now)?;
        catalog
            .delete_dataset(&project, &dataset, contents)
            .map_err(RestError::from)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListOptions {
    max_results: Option<usize>,
    page_token: Option<String>,
    all: Option<String>,
    filter: Option<String>,
}

/// `datasets/NAME:undelete`, the only call that is made by POST on a dataset.
pub(super) async fn call(
    State(state): Shared,
    Path((project, dataset)): Path<(String, String)>,
    Body(body): Body,
) -> Answer {
    let Some(dataset) = dataset.strip_suffix(":undelete").map(str::to_owned) else {
        return Err(RestError::new(
            StatusCode::NOT_IMPLEMENTED,
            "notImplemented",
            "UNIMPLEMENTED",
            format!("POST on dataset {dataset} is not served by this emulator"),
        ));
    };
    if body.get("deletionTime").is_some_and(|time| !time.is_null()) {
        return Err(RestError::invalid(
            "Undeleting a dataset using deletion time is not supported.",
        ));
    }
    let endpoint = state.endpoint.clone();
    let found = blocking(&state, move |catalog| {
        let metadata = catalog.undelete_dataset(&project, &dataset)?;
        let found = resource::dataset(&endpoint, &project, &dataset, &metadata);
        Ok::<_, CatalogError>(found)
    })
    .await?;
    Ok(Json(found))
}

pub(super) async fn list(
    State(state): Shared,
    Path(project): Path<String>,
    Params(options): Params<ListOptions>,
) -> Answer {
    let labels = match options.filter.as_deref() {
        Some(text) => label_filter(text)?,
        None => Vec::new(),
    };
    let hidden_too = matches!(options.all.as_deref(), Some("true" | "True"));
    let p = project.clone();
    let all = blocking(&state, move |catalog| {
        let ids = catalog.datasets(&p)?;
        // Names that begin with an underscore are hidden, such as those of query results.
        ids.into_iter()
            .filter(|id| hidden_too || !is_hidden_dataset(id))
            .map(|id| Ok((catalog.dataset(&p, &id)?, id)))
            .collect::<Result<Vec<_>, CatalogError>>()
    })
    .await?;
    let all = all.into_iter().filter(|(metadata, _)| {
        labels.iter().all(|(key, value)| {
            let own = metadata.resource.get("labels").and_then(|l| l.get(key));
            own.is_some_and(|own| value.as_ref().is_none_or(|value| own == value))
        })
    });
    let page = Page {
        max_results: options.max_results,
        page_token: options.page_token,
    };
    let (datasets, next) = page.take(all.collect())?;
    Ok(Json(resource::dataset_list(&project, &datasets, next)))
}

/// `labels.KEY` or `labels.KEY:VALUE`, several of them apart by spaces: all must hold.
fn label_filter(text: &str) -> Result<Vec<(String, Option<String>)>, RestError> {
    text.split_whitespace()
        .filter(|word| *word != "AND")
        .map(|word| {
            let label = word
                .strip_prefix("labels.")
                .ok_or_else(|| RestError::invalid(&format!("Invalid filter {text:?}")))?;
            Ok(match label.split_once(':') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (label.to_owned(), None),
            })
        })
        .collect()
}
