//! What `/openapi.json` says beside the routes.

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

/// The document without its routes.
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
    // A loopback listener asks for none.
    document.security =
        Some(vec![SecurityRequirement::default(), SecurityRequirement::new("bearer", Vec::<String>::new())]);
    document
}

/// The problems that any route can have.
const PROBLEMS: [(&str, &str); 6] = [
    ("400", "The request is not one: `invalid_request`"),
    ("401", "There is no valid token: `unauthorized`"),
    ("403", "The token is not good for this: `forbidden`"),
    ("404", "There is no such thing: `not_found`"),
    ("429", "Too much at once: `rate_limited`, `queue_full`; after `Retry-After` again"),
    ("503", "The database or a model is away: `unavailable`; after `Retry-After` again"),
];

/// The document with what all its routes have in common.
pub(super) fn completed(mut document: OpenApi) -> OpenApi {
    let problem = || RefOr::Ref(Ref::from_schema_name("Problem"));
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            if operation.request_body.is_some() {
                let content = Content::new(Some(problem()));
                let response = ResponseBuilder::new().description("The body is too large: `invalid_request`");
                let response = response.content("application/problem+json", content).build();
                operation.responses.responses.entry("413".to_owned()).or_insert(RefOr::T(response));
            }
            // What may be left out is not null when it is there.
            for parameter in operation.parameters.iter_mut().flatten() {
                if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
                    && let SchemaType::Array(types) = &object.schema_type
                    && let Some(kind) = types.iter().find(|kind| **kind != Type::Null)
                {
                    object.schema_type = SchemaType::Type(kind.clone());
                }
            }
            for (status, description) in PROBLEMS {
                let content = Content::new(Some(problem()));
                let response = ResponseBuilder::new().description(description);
                let response = response.content("application/problem+json", content).build();
                operation.responses.responses.entry(status.to_owned()).or_insert(RefOr::T(response));
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    let PathItem { get, put, post, delete, .. } = item;
    [get, put, post, delete].into_iter().flatten()
}
