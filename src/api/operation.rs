//! The documentation of one endpoint: its purpose, input, responses and errors.

use std::collections::BTreeMap;

use hyper::StatusCode;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{Content, Header, RefOr, Required, ResponseBuilder, Schema};
use utoipa::{IntoParams, ToSchema};

use super::failures;
use super::reply::{self, JSON, PROBLEM, Problem};
use super::schema::{self, NamedSchemas};
use crate::base::error::ErrorKind;
use crate::camera::id::ID_PATTERN;

const FORM: &str = "application/x-www-form-urlencoded";

/// The documentation of one endpoint.
pub(crate) struct Operation {
    builder: OperationBuilder,
    responses: BTreeMap<u16, ResponseBuilder>,
    failures: BTreeMap<u16, Vec<ErrorKind>>,
    schemas: NamedSchemas,
}

impl Operation {
    /// Creates the documentation of the operation `id` in the group `tag`.
    pub(super) fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            builder: OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary)),
            responses: BTreeMap::new(),
            failures: BTreeMap::new(),
            schemas: NamedSchemas::new(),
        }
    }

    /// Adds a description, which follows the summary.
    pub(super) fn describe(mut self, description: &str) -> Self {
        self.builder = self.builder.description(Some(description));
        self
    }

    /// Adds the id of a camera as the parameter `id` in the path.
    pub(super) fn of_camera(self) -> Self {
        self.of(Some(ID_PATTERN), "The camera's id.")
    }

    /// Adds the path parameter `id`, whose values match `pattern` if there is one.
    pub(super) fn of(self, pattern: Option<&str>, description: &str) -> Self {
        let id = ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .example(pattern.map(|_| "front-door".into()))
            .schema(Some(schema::string(pattern)));
        self.parameter(id)
    }

    /// Adds a parameter.
    pub(super) fn parameter(mut self, parameter: impl Into<Parameter>) -> Self {
        self.builder = self.builder.parameter(parameter);
        self
    }

    /// Adds input that is sent in the query.
    pub(super) fn query<T: IntoParams>(mut self) -> Self {
        self.builder = self.builder.parameters(Some(T::into_params(|| None)));
        self
    }

    /// Adds input that is sent as JSON, as a form, or in the query if there is no body.
    pub(super) fn input<T: ToSchema + IntoParams>(self) -> Self {
        let content = || Content::new(Some(schema::reference::<T>()));
        let body = RequestBodyBuilder::new()
            .description(Some("Optional: the query can hold the same fields instead."))
            .content(JSON, content())
            .content(FORM, content());
        let in_query = T::into_params(|| None).into_iter().map(|mut parameter| {
            parameter.required = Required::False;
            parameter
        });
        in_query.fold(self, Self::parameter).body(body.build()).with_schema::<T>()
    }

    /// Adds a required JSON body.
    pub(super) fn takes<T: ToSchema>(self) -> Self {
        self.takes_json(schema::reference::<T>(), Required::True).with_schema::<T>()
    }

    /// Adds a required JSON body that is a list, or an object whose field `field` is the list.
    pub(super) fn takes_list<T: ToSchema>(self, field: &str) -> Self {
        self.takes_json(schema::list_or_object::<T>(field), Required::True).with_schema::<T>()
    }

    /// Adds an optional JSON body.
    pub(super) fn takes_optional<T: ToSchema>(self) -> Self {
        self.takes_json(schema::reference::<T>(), Required::False).with_schema::<T>()
    }

    fn takes_json(self, schema: impl Into<RefOr<Schema>>, required: Required) -> Self {
        let body = RequestBodyBuilder::new()
            .required(Some(required))
            .content(JSON, Content::new(Some(schema)));
        self.body(body.build())
    }

    /// Adds a required body with another content type.
    pub(super) fn takes_other(self, content_type: &str, kind: Type, description: &str) -> Self {
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .description(Some(description))
            .content(content_type, Content::new(Some(schema::of_type(kind).build())));
        self.body(body.build())
    }

    fn body(mut self, body: RequestBody) -> Self {
        self.builder = self.builder.request_body(Some(body));
        self.fails(failures::BODY)
    }

    /// Adds the body of a request that the manager sends. Adds no errors, because the errors depend
    /// on the receiver.
    pub(super) fn sends<T: ToSchema>(mut self) -> Self {
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content(JSON, Content::new(Some(schema::reference::<T>())));
        self.builder = self.builder.request_body(Some(body.build()));
        self.with_schema::<T>()
    }

    /// Adds the response 200 with JSON.
    pub(super) fn returns<T: ToSchema>(self, description: &str) -> Self {
        let response =
            response(description).content(JSON, Content::new(Some(schema::reference::<T>())));
        self.with_schema::<T>().responses(StatusCode::OK, response)
    }

    /// Adds the response 200 with a list as JSON.
    pub(super) fn returns_list<T: ToSchema>(self, description: &str) -> Self {
        let response =
            response(description).content(JSON, Content::new(Some(schema::list_of::<T>())));
        self.with_schema::<T>().responses(StatusCode::OK, response)
    }

    /// Adds the response 200 with `T`, or with a list of `E`, as JSON.
    pub(super) fn returns_or_lists<T: ToSchema, E: ToSchema>(self, description: &str) -> Self {
        let response =
            response(description).content(JSON, Content::new(Some(schema::one_or_list::<T, E>())));
        self.with_schema::<T>().with_schema::<E>().responses(StatusCode::OK, response)
    }

    /// Adds the response 200 with another content type.
    pub(super) fn returns_other(self, content_type: &str, kind: Type, description: &str) -> Self {
        let content = Content::new(Some(schema::of_type(kind).build()));
        self.responses(StatusCode::OK, response(description).content(content_type, content))
    }

    /// Adds the response 204, which has no body.
    pub(super) fn returns_nothing(self, description: &str) -> Self {
        self.responses(StatusCode::NO_CONTENT, response(description))
    }

    /// Adds the response 201 with the resource that was created. `location` describes the header
    /// `Location`, if there is one.
    pub(super) fn creates<T: ToSchema>(self, description: &str, location: Option<&str>) -> Self {
        let created =
            response(description).content(JSON, Content::new(Some(schema::reference::<T>())));
        let created = match location {
            Some(location) => created.header("Location", header(Type::String, location)),
            None => created,
        };
        self.with_schema::<T>().responses(StatusCode::CREATED, created)
    }

    /// Adds the response 201 with another content type, and with these headers and their descriptions.
    pub(super) fn creates_other(
        self,
        content_type: &str,
        kind: Type,
        description: &str,
        headers: &[(&str, &str)],
    ) -> Self {
        let content = Content::new(Some(schema::of_type(kind).build()));
        let created = response(description).content(content_type, content);
        let created = headers.iter().fold(created, |created, (name, description)| {
            created.header(*name, header(Type::String, description))
        });
        self.responses(StatusCode::CREATED, created)
    }

    fn responses(mut self, status: StatusCode, response: ResponseBuilder) -> Self {
        self.responses.insert(status.as_u16(), response);
        self
    }

    /// Adds errors that the operation can return.
    pub(super) fn fails(mut self, kinds: &[ErrorKind]) -> Self {
        for kind in kinds {
            let kinds = self.failures.entry(reply::status(*kind).as_u16()).or_default();
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        self
    }

    /// Adds the schema of a type to the schemas of the operation.
    fn with_schema<T: ToSchema>(mut self) -> Self {
        schema::add::<T>(&mut self.schemas);
        self
    }

    /// Returns the operation for the document, and the schemas that it refers to.
    pub(super) fn build(self) -> (OperationBuilder, NamedSchemas) {
        let failures =
            self.failures.into_iter().map(|(status, kinds)| (status, failure(status, &kinds)));
        let responses = self.responses.into_iter().chain(failures);
        let operation = responses.fold(self.builder, |operation, (status, response)| {
            operation.response(status.to_string(), response.build())
        });
        (operation, self.schemas)
    }
}

fn response(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description)
}

fn failure(status: u16, kinds: &[ErrorKind]) -> ResponseBuilder {
    let codes: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.code())).collect();
    let failed = response(&codes.join(", "))
        .content(PROBLEM, Content::new(Some(schema::reference::<Problem>())));
    if matches!(status, 429 | 503) {
        let after = header(Type::Integer, "Seconds after which another attempt may succeed.");
        failed.header("Retry-After", after)
    } else {
        failed
    }
}

fn header(kind: Type, description: &str) -> Header {
    let schema = schema::of_type(kind).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}
