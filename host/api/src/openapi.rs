//! The description of the API (OpenAPI 3.1), generated from the handlers.

use std::collections::BTreeSet;
use std::sync::Arc;

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::schema::ArrayItems;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, PathItem, Ref, RefOr, Response,
    ResponseBuilder, Schema, path::Operation,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::BASE_PATH;
use crate::access::{Operations, SECURITY_SCHEME};
use crate::endpoints::{
    alerts, audit, changes, commands, component_cache, dead_letters, envelopes, events,
    explanation, grants, incidents, instances, machine, plugins, polls, refusals, series, sources,
    status, tokens, topology, upgrades, usage,
};
use crate::problem::ProblemKind;
use crate::shared::Shared;
use crate::views::{FieldProblem, Place, ProblemDetails};

/// The media type of refusals (RFC 9457).
const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// What the names of schemas of pages begin with; the name of the rows' schema
/// follows.
const PAGE_OF: &str = "Page_";

/// The name of the answer that all refusals have in common.
const PROBLEM: &str = "Problem";

/// How texts are shaped that mean the same in many operations, by where they
/// stand and what they are called there.
const SHAPES: [(ParameterIn, &str, &str); 2] = [
    (ParameterIn::Path, "name", INSTANCE_NAME),
    (ParameterIn::Query, "entity", ENTITY),
];

/// `domain::id::InstanceName`.
const INSTANCE_NAME: &str = "^[a-z0-9][a-z0-9._-]{0,59}$";

/// `domain::entity::Entity`: a kind and a name, neither of which is blank. What
/// is blank is spelled out (Unicode's `White_Space`), since dialects of regular
/// expressions have other ideas of `\s`.
const ENTITY: &str = concat!(
    r"^[^/\u0000]*",
    r"[^/\u0000\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^/\u0000]*/[^\u0000]*",
    r"[^\u0000\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"[^\u0000]*$",
);

/// Groups of operations, in reading order.
const TAGS: &[(&str, &str)] = &[
    (
        "incidents",
        "What belongs together, why, and what may have brought it about.",
    ),
    (
        "alerts",
        "Conditions, as senders report them and detectors find them.",
    ),
    ("changes", "What was changed on purpose."),
    ("topology", "Who depends on whom."),
    ("series", "What is measured."),
    (
        "ingestion",
        "What came in, and what of it could not be used.",
    ),
    (
        "plugins",
        "Bundles, instances made of them, and what these are allowed.",
    ),
    ("audit", "Who did what."),
    ("tokens", "Who may ask."),
    ("status", "How the installation fares."),
    ("machine", "For machines that look after it."),
];

/// All operations, with their paths.
pub(crate) fn routes() -> OpenApiRouter<Arc<Shared>> {
    let base = OpenApiRouter::default()
        .routes(routes!(incidents::incident_list))
        .routes(routes!(incidents::incident_fetch))
        .routes(routes!(incidents::incident_member_list))
        .routes(routes!(incidents::incident_event_list))
        .routes(routes!(commands::incident_acknowledge))
        .routes(routes!(commands::incident_resolve))
        .routes(routes!(commands::command_fetch))
        .routes(routes!(events::event_stream))
        .routes(routes!(alerts::alert_list))
        .routes(routes!(alerts::alert_fetch))
        .routes(routes!(explanation::alert_explain))
        .routes(routes!(changes::change_list))
        .routes(routes!(changes::change_fetch))
        .routes(routes!(topology::edge_list))
        .routes(routes!(series::series_list))
        .routes(routes!(series::series_fetch))
        .routes(routes!(series::sample_list))
        .routes(routes!(sources::source_list))
        .routes(routes!(dead_letters::dead_letter_list))
        .routes(routes!(dead_letters::dead_letter_redrive))
        .routes(routes!(refusals::refusal_list))
        .routes(routes!(envelopes::envelope_fetch))
        .routes(routes!(plugins::plugin_list, plugins::plugin_install))
        .routes(routes!(plugins::plugin_fetch))
        .routes(routes!(
            component_cache::component_cache_fetch,
            component_cache::component_cache_clear
        ))
        .routes(routes!(
            instances::instance_list,
            instances::instance_create
        ))
        .routes(routes!(instances::instance_fetch))
        .routes(routes!(instances::instance_config_put))
        .routes(routes!(instances::instance_settings_put))
        .routes(routes!(instances::instance_enable))
        .routes(routes!(instances::instance_disable))
        .routes(routes!(commands::instance_resume))
        .routes(routes!(upgrades::instance_upgrade))
        .routes(routes!(polls::instance_poll))
        .routes(routes!(usage::instance_usage))
        .routes(routes!(grants::grant_list))
        .routes(routes!(
            grants::grant_fetch,
            grants::grant_put,
            grants::grant_revoke
        ))
        .routes(routes!(audit::audit_list))
        .routes(routes!(audit::audit_verify))
        .routes(routes!(tokens::token_list, tokens::token_create))
        .routes(routes!(tokens::token_revoke))
        .routes(routes!(status::status_fetch))
        .routes(routes!(status::caller_fetch))
        .routes(routes!(status::history_digest_fetch))
        .routes(routes!(machine::document_fetch));
    OpenApiRouter::default()
        .nest(BASE_PATH, base)
        .routes(routes!(machine::health_fetch))
        .routes(routes!(machine::readiness_fetch))
        .routes(routes!(machine::metrics_fetch))
}

/// Adds what is true of all operations.
pub(crate) fn complete(document: &mut OpenApi) {
    document.info = InfoBuilder::new()
        .title("Faultline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description()))
        .license(Some(
            LicenseBuilder::new()
                .name("Apache-2.0")
                .identifier(Some("Apache-2.0"))
                .build(),
        ))
        .build();
    let tags = TAGS.iter().map(|(name, description)| {
        TagBuilder::new()
            .name(*name)
            .description(Some(*description))
            .build()
    });
    document.tags = Some(tags.collect());
    let components = document.components.take().unwrap_or_default();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A token for the API. The role that an operation needs stands with it; each role \
             includes those before it: viewer, responder, operator, admin.",
        ))
        .build();
    document.components = Some(
        ComponentsBuilder::from(components)
            .schema(ProblemDetails::name(), ProblemDetails::schema())
            .schema(FieldProblem::name(), FieldProblem::schema())
            .schema(Place::name(), Place::schema())
            .response(PROBLEM, problem())
            .security_scheme(SECURITY_SCHEME, SecurityScheme::Http(token))
            .build(),
    );
    refer_from_pages(document);
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            refuse(operation);
            shape(operation);
        }
    }
}

/// Lets the schema of a page refer to that of its rows, which the generator
/// writes out in every page instead: clients made from the description would
/// have two types for one thing.
fn refer_from_pages(document: &mut OpenApi) {
    let Some(components) = &mut document.components else {
        return;
    };
    let names: BTreeSet<String> = components.schemas.keys().cloned().collect();
    for (name, schema) in &mut components.schemas {
        let Some(row) = name
            .strip_prefix(PAGE_OF)
            .filter(|row| names.contains(*row))
        else {
            continue;
        };
        if let RefOr::T(Schema::Object(page)) = schema
            && let Some(RefOr::T(Schema::Array(items))) = page.properties.get_mut("items")
        {
            let reference = RefOr::Ref(Ref::from_schema_name(row));
            items.items = ArrayItems::RefOrSchema(Box::new(reference));
        }
    }
}

/// The description of the API.
pub fn document() -> OpenApi {
    let mut document = routes().to_openapi();
    Operations::of(&mut document);
    complete(&mut document);
    document
}

fn description() -> String {
    let kinds: Vec<String> = ProblemKind::ALL
        .iter()
        .map(|kind| {
            format!(
                "| `urn:faultline:problem:{}` | {} | {} |",
                kind.word(),
                kind.status().as_u16(),
                kind.title()
            )
        })
        .collect();
    format!(
        "What people, programs and the command line see of Faultline, and the only way in which \
         they act on it.\n\n\
         Listings come in pages: give `next` of one as `after` to get the one that follows. Ids \
         of incidents and alerts can be cut short, as long as they stay unambiguous. What is not \
         known in a query or a body is refused, not ignored. Everything that changes something \
         is on the audit log.\n\n\
         Refusals are problem details (RFC 9457), of these types:\n\n\
         | type | status | title |\n|---|---|---|\n{}\n",
        kinds.join("\n")
    )
}

/// The answer that all refusals have in common.
fn problem() -> Response {
    ResponseBuilder::new()
        .description("The request was refused: why, where, and what to do about it.")
        .content(
            PROBLEM_MEDIA_TYPE,
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(ProblemDetails::name())))
                .build(),
        )
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [
        &mut item.get,
        &mut item.put,
        &mut item.post,
        &mut item.delete,
    ]
    .into_iter()
    .flatten()
}

/// Says how texts look that mean the same wherever they stand.
fn shape(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        for (place, name, pattern) in &SHAPES {
            if parameter.parameter_in == *place
                && parameter.name == *name
                && let Some(RefOr::T(Schema::Object(text))) = &mut parameter.schema
            {
                text.pattern = Some((*pattern).to_owned());
            }
        }
    }
}

/// Says that every other answer is a problem; those that the handler explains
/// keep their explanation.
fn refuse(operation: &mut Operation) {
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        let is_refusal = status.starts_with('4') || status.starts_with('5');
        if let RefOr::T(response) = response
            && is_refusal
        {
            response.content = problem().content;
        }
    }
    let reference = Ref::from_response_name(PROBLEM);
    responses.insert("default".to_owned(), RefOr::Ref(reference));
}
