//! A description of the methods that are served, for clients that build themselves from one, such as the `bq` command and
//! Google's generic clients.
//!
//! Only what such a client needs: paths, methods, parameters. Bodies are described as objects of any members.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::Shared;

/// Name, HTTP method, path, query parameters, and the names of the bodies of request and answer (empty where there is none).
///
/// A parameter that is not a text says what it is after a colon.
type Method = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const DATASETS: &str = "projects/{projectId}/datasets";
const DATASET: &str = "projects/{projectId}/datasets/{datasetId}";
const UNDELETE: &str = "projects/{projectId}/datasets/{datasetId}:undelete";
const MODELS: &str = "projects/{projectId}/datasets/{datasetId}/models";
const MODEL: &str = "projects/{projectId}/datasets/{datasetId}/models/{modelId}";
const ROUTINES: &str = "projects/{projectId}/datasets/{datasetId}/routines";
const ROUTINE: &str = "projects/{projectId}/datasets/{datasetId}/routines/{routineId}";
const ROW_ACCESS: &str =
    "projects/{projectId}/datasets/{datasetId}/tables/{tableId}/rowAccessPolicies/{policyId}";
const TABLES: &str = "projects/{projectId}/datasets/{datasetId}/tables";
const TABLE: &str = "projects/{projectId}/datasets/{datasetId}/tables/{tableId}";
const JOBS: &str = "projects/{projectId}/jobs";
const PAGE: &str = "maxResults:integer pageToken";

/// Answers whose token is called like the parameter it is for.
const TOKEN_OF_ITS_OWN: [&str; 2] = ["TableDataList", "GetQueryResultsResponse"];

#[rustfmt::skip]
const METHODS: &[Method] = &[
    ("datasets.delete", "DELETE", DATASET, "deleteContents:boolean", "", ""),
    ("datasets.undelete", "POST", UNDELETE, "", "UndeleteDatasetRequest", "Dataset"),
    ("datasets.get", "GET", DATASET, "accessPolicyVersion:integer datasetView", "", "Dataset"),
    ("datasets.insert", "POST", DATASETS, "accessPolicyVersion:integer", "Dataset", "Dataset"),
    ("datasets.list", "GET", DATASETS, "all:boolean filter maxResults:integer pageToken", "", "DatasetList"),
    ("datasets.patch", "PATCH", DATASET, "accessPolicyVersion:integer updateMode", "Dataset", "Dataset"),
    ("datasets.update", "PUT", DATASET, "accessPolicyVersion:integer updateMode", "Dataset", "Dataset"),
    ("jobs.cancel", "POST", "projects/{projectId}/jobs/{jobId}/cancel", "location", "", "JobCancelResponse"),
    ("jobs.delete", "DELETE", "projects/{projectId}/jobs/{jobId}/delete", "location", "", ""),
    ("jobs.get", "GET", "projects/{projectId}/jobs/{jobId}", "location", "", "Job"),
    ("jobs.getQueryResults", "GET", "projects/{projectId}/queries/{jobId}", "formatOptions.timestampOutputFormat formatOptions.useInt64Timestamp:boolean location maxResults:integer pageToken startIndex timeoutMs:integer", "", "GetQueryResultsResponse"),
    ("jobs.insert", "POST", JOBS, "", "Job", "Job"),
    ("jobs.list", "GET", JOBS, "allUsers:boolean maxCreationTime maxResults:integer minCreationTime pageToken parentJobId projection stateFilter:repeated", "", "JobList"),
    ("jobs.query", "POST", "projects/{projectId}/queries", "", "QueryRequest", "QueryResponse"),
    ("models.delete", "DELETE", MODEL, "", "", ""),
    ("models.get", "GET", MODEL, "", "", "Model"),
    ("models.list", "GET", MODELS, PAGE, "", "ListModelsResponse"),
    ("models.patch", "PATCH", MODEL, "", "Model", "Model"),
    ("projects.getServiceAccount", "GET", "projects/{projectId}/serviceAccount", "", "", "GetServiceAccountResponse"),
    ("projects.list", "GET", "projects", PAGE, "", "ProjectList"),
    ("routines.delete", "DELETE", ROUTINE, "", "", ""),
    ("routines.get", "GET", ROUTINE, "readMask", "", "Routine"),
    ("routines.getIamPolicy", "POST", "{+resource}:getIamPolicy", "", "GetIamPolicyRequest", "Policy"),
    ("routines.insert", "POST", ROUTINES, "", "Routine", "Routine"),
    ("routines.list", "GET", ROUTINES, "filter maxResults:integer pageToken readMask", "", "ListRoutinesResponse"),
    ("routines.setIamPolicy", "POST", "{+resource}:setIamPolicy", "", "SetIamPolicyRequest", "Policy"),
    ("routines.testIamPermissions", "POST", "{+resource}:testIamPermissions", "", "TestIamPermissionsRequest", "TestIamPermissionsResponse"),
    ("routines.update", "PUT", ROUTINE, "", "Routine", "Routine"),
    ("rowAccessPolicies.batchDelete", "POST", "projects/{projectId}/datasets/{datasetId}/tables/{tableId}/rowAccessPolicies:batchDelete", "", "BatchDeleteRowAccessPoliciesRequest", ""),
    ("rowAccessPolicies.delete", "DELETE", ROW_ACCESS, "force:boolean", "", ""),
    ("rowAccessPolicies.get", "GET", ROW_ACCESS, "", "", "RowAccessPolicy"),
    ("rowAccessPolicies.getIamPolicy", "POST", "{+resource}:getIamPolicy", "", "GetIamPolicyRequest", "Policy"),
    ("rowAccessPolicies.insert", "POST", "projects/{projectId}/datasets/{datasetId}/tables/{tableId}/rowAccessPolicies", "", "RowAccessPolicy", "RowAccessPolicy"),
    ("rowAccessPolicies.list", "GET", "projects/{projectId}/datasets/{datasetId}/tables/{tableId}/rowAccessPolicies", "pageSize:integer pageToken", "", "ListRowAccessPoliciesResponse"),
    ("rowAccessPolicies.testIamPermissions", "POST", "{+resource}:testIamPermissions", "", "TestIamPermissionsRequest", "TestIamPermissionsResponse"),
    ("rowAccessPolicies.update", "PUT", ROW_ACCESS, "", "RowAccessPolicy", "RowAccessPolicy"),
    ("tabledata.insertAll", "POST", "projects/{projectId}/datasets/{datasetId}/tables/{tableId}/insertAll", "", "TableDataInsertAllRequest", "TableDataInsertAllResponse"),
    ("tabledata.list", "GET", "projects/{projectId}/datasets/{datasetId}/tables/{tableId}/data", "formatOptions.timestampOutputFormat formatOptions.useInt64Timestamp:boolean maxResults:integer pageToken selectedFields startIndex", "", "TableDataList"),
    ("tables.delete", "DELETE", TABLE, "", "", ""),
    ("tables.get", "GET", TABLE, "selectedFields view", "", "Table"),
    ("tables.getIamPolicy", "POST", "{+resource}:getIamPolicy", "", "GetIamPolicyRequest", "Policy"),
    ("tables.insert", "POST", TABLES, "", "Table", "Table"),
    ("tables.list", "GET", TABLES, PAGE, "", "TableList"),
    ("tables.patch", "PATCH", TABLE, "autodetect_schema:boolean", "Table", "Table"),
    ("tables.setIamPolicy", "POST", "{+resource}:setIamPolicy", "", "SetIamPolicyRequest", "Policy"),
    ("tables.testIamPermissions", "POST", "{+resource}:testIamPermissions", "", "TestIamPermissionsRequest", "TestIamPermissionsResponse"),
    ("tables.update", "PUT", TABLE, "autodetect_schema:boolean", "Table", "Table"),
];

/// The description, with this server's own address.
pub(super) async fn document(State(state): Shared) -> Json<Value> {
    let endpoint = &state.endpoint;
    let mut schemas = Map::new();
    let mut resources = Map::new();
    for method in METHODS {
        for name in [method.4, method.5] {
            if !name.is_empty() {
                let mut any =
                    json!({"id": name, "type": "object", "additionalProperties": {"type": "any"}});
                // Clients make a method for the next page where an answer may have a token for it.
                if name == method.5 && method.3.split(' ').any(|word| word == "pageToken") {
                    let token = if TOKEN_OF_ITS_OWN.contains(&name) {
                        "pageToken"
                    } else {
                        "nextPageToken"
                    };
                    any["properties"][token] = json!({"type": "string"});
                }
                schemas.insert(name.to_owned(), any);
            }
        }
        let (resource, name) = method.0.split_once('.').unwrap_or_default();
        let entry = resources
            .entry(resource)
            .or_insert_with(|| json!({"methods": {}}));
        entry["methods"][name] = described(method);
    }
    Json(json!({
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "bigquery:v2",
        "name": "bigquery",
        "version": "v2",
        "title": "BigQuery API, as far as this emulator serves it",
        "protocol": "rest",
        "rootUrl": format!("{endpoint}/"),
        "servicePath": "bigquery/v2/",
        "baseUrl": format!("{endpoint}/bigquery/v2/"),
        "basePath": "/bigquery/v2/",
        "batchPath": "batch/bigquery/v2",
        "parameters": {
            "alt": {"type": "string", "location": "query"},
            "fields": {"type": "string", "location": "query"},
            "key": {"type": "string", "location": "query"},
            "prettyPrint": {"type": "boolean", "location": "query"},
            "quotaUser": {"type": "string", "location": "query"},
        },
        "schemas": schemas,
        "resources": resources,
    }))
}

fn described(method: &Method) -> Value {
    let (id, http, path, query, request, response) = *method;
    let mut parameters = Map::new();
    let mut order = Vec::new();
    for part in path.split('{').skip(1) {
        let name = part.split('}').next().unwrap_or_default();
        let name = name.trim_start_matches('+');
        order.push(name);
        let described = json!({"type": "string", "required": true, "location": "path"});
        parameters.insert(name.to_owned(), described);
    }
    for parameter in query.split_whitespace() {
        let (name, kind) = parameter.split_once(':').unwrap_or((parameter, "string"));
        let described = match kind {
            "repeated" => json!({"type": "string", "repeated": true, "location": "query"}),
            kind => json!({"type": kind, "location": "query"}),
        };
        parameters.insert(name.to_owned(), described);
    }
    let mut described = json!({
        "id": format!("bigquery.{id}"),
        "path": path,
        "httpMethod": http,
        "parameters": parameters,
        "parameterOrder": order,
    });
    if !request.is_empty() {
        described["request"] = json!({"$ref": request});
    }
    if !response.is_empty() {
        described["response"] = json!({"$ref": response});
    }
    if id == "jobs.insert" {
        described["supportsMediaUpload"] = json!(true);
        described["mediaUpload"] = json!({"accept": ["*/*"], "protocols": {
            "simple": {"multipart": true, "path": "/upload/bigquery/v2/projects/{projectId}/jobs"},
            "resumable": {"multipart": true, "path": "/resumable/upload/bigquery/v2/projects/{projectId}/jobs"},
        }});
    }
    described
}
