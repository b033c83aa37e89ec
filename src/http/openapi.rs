//! The parts of `/openapi.json` that are not generated from the routes.

use utoipa::{
    OpenApi as _,
    openapi::{
        Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, ResponseBuilder,
        path::PathItem,
        schema::{Schema, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::problem::Problem;

#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Schemas;

pub(super) fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("shopkeeper")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Questions about a shop's catalogue, and their answers."));
    let mut document = OpenApiBuilder::from(Schemas::openapi()).info(info.build()).build();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    if let Some(components) = &mut document.components {
        components.add_security_scheme("bearer", bearer);
    }
    // A loopback listener may require no token.
    document.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new("bearer", Vec::<String>::new())]);
    document
}

/// The problems of all routes.
const PROBLEMS: [(&str, &str); 6] = [
    ("400", "The request is invalid: `invalid_request`"),
    ("401", "There is no valid token: `unauthorized`"),
    ("403", "The token does not allow this: `forbidden`"),
    ("404", "It does not exist: `not_found`"),
    ("429", "Too many requests: `rate_limited`, `queue_full`; retry after `Retry-After`"),
    ("503", "The database or a model is unavailable: `unavailable`; retry after `Retry-After`"),
];

/// Adds what all routes have in common.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let PathItem { get, put, post, delete, .. } = item;
        for operation in [get, put, post, delete].into_iter().flatten() {
            let too_large = operation
                .request_body
                .is_some()
                .then_some(("413", "The body is too large: `invalid_request`"));
            for (status, description) in PROBLEMS.into_iter().chain(too_large) {
                let content = Content::new(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
                let response = ResponseBuilder::new().description(description);
                let response = response.content("application/problem+json", content).build();
                operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
            }
            // An optional parameter may be missing, but not null.
            for parameter in operation.parameters.iter_mut().flatten() {
                if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
                    && let SchemaType::Array(types) = &object.schema_type
                    && let Some(kind) = types.iter().find(|kind| **kind != Type::Null)
                {
                    object.schema_type = SchemaType::Type(kind.clone());
                }
            }
        }
    }
    document
}
