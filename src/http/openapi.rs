//! The parts of `/openapi.json` that are not generated from the routes.

use utoipa::{
    OpenApi as _,
    openapi::{
        Content, OpenApi, Ref, RefOr, ResponseBuilder,
        path::PathItem,
        schema::{Schema, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::problem::Problem;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "shopkeeper", description = "Questions about a shop's catalogue, and their answers."),
    components(schemas(Problem)),
    // A loopback listener may require no token.
    security((), ("bearer" = []))
)]
struct Document;

pub(super) fn document() -> OpenApi {
    let mut document = Document::openapi();
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().add_security_scheme("bearer", bearer);
    document
}

const PROBLEMS: [(&str, &str); 6] = [
    ("400", "The request is invalid: `invalid_request`"),
    ("401", "There is no valid token: `unauthorized`"),
    ("403", "The token does not allow this: `forbidden`"),
    ("404", "It does not exist: `not_found`"),
    ("429", "Too many requests: `rate_limited`, `queue_full`; retry after `Retry-After`"),
    ("503", "The database or a model is unavailable: `unavailable`; retry after `Retry-After`"),
];

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
