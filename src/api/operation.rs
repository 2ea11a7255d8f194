//! The documentation of one endpoint: what it is for, what it takes, what it returns, how it fails.

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
    answers: BTreeMap<u16, ResponseBuilder>,
    failures: BTreeMap<u16, Vec<ErrorKind>>,
    schemas: NamedSchemas,
}

impl Operation {
    /// The operation `id` of the group `tag`.
    pub(super) fn new(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            builder: OperationBuilder::new().tag(tag).operation_id(Some(id)).summary(Some(summary)),
            answers: BTreeMap::new(),
            failures: BTreeMap::new(),
            schemas: NamedSchemas::new(),
        }
    }

    /// Adds what the summary leaves out.
    pub(super) fn describe(mut self, description: &str) -> Self {
        self.builder = self.builder.description(Some(description));
        self
    }

    /// Has the id of a camera in its path.
    pub(super) fn of_camera(self) -> Self {
        self.of(Some(ID_PATTERN), "The camera's id.")
    }

    /// Has an `id` in its path, which matches a pattern if there is one.
    pub(super) fn of(self, pattern: Option<&str>, description: &str) -> Self {
        let id = ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(description))
            .example(pattern.map(|_| "front-door".into()))
            .schema(Some(schema::text(pattern)));
        self.parameter(id)
    }

    pub(super) fn parameter(mut self, parameter: impl Into<Parameter>) -> Self {
        self.builder = self.builder.parameter(parameter);
        self
    }

    /// Takes its input in the query.
    pub(super) fn query<T: IntoParams>(mut self) -> Self {
        self.builder = self.builder.parameters(Some(T::into_params(|| None)));
        self
    }

    /// Takes its input as JSON, as a form, or in the query when there is no body.
    pub(super) fn input<T: ToSchema + IntoParams>(self) -> Self {
        let content = || Content::new(Some(schema::reference::<T>()));
        let body = RequestBodyBuilder::new()
            .description(Some("May be left out for a query instead."))
            .content(JSON, content())
            .content(FORM, content());
        let in_query = T::into_params(|| None).into_iter().map(|mut parameter| {
            parameter.required = Required::False;
            parameter
        });
        in_query.fold(self, Self::parameter).body(body.build()).names::<T>()
    }

    /// Takes a body.
    pub(super) fn takes<T: ToSchema>(self) -> Self {
        self.takes_json(schema::reference::<T>(), Required::True).names::<T>()
    }

    /// Takes a body with a list.
    pub(super) fn takes_list<T: ToSchema>(self) -> Self {
        self.takes_json(schema::list_of::<T>(), Required::True).names::<T>()
    }

    /// Takes a body, which can be left out.
    pub(super) fn can_take<T: ToSchema>(self) -> Self {
        self.takes_json(schema::reference::<T>(), Required::False).names::<T>()
    }

    fn takes_json(self, schema: impl Into<RefOr<Schema>>, required: Required) -> Self {
        let body = RequestBodyBuilder::new()
            .required(Some(required))
            .content(JSON, Content::new(Some(schema)));
        self.body(body.build())
    }

    fn body(mut self, body: RequestBody) -> Self {
        self.builder = self.builder.request_body(Some(body));
        self.fails(failures::BODY)
    }

    /// Is sent by the manager with this body, and fails in whatever way its receiver chooses.
    pub(super) fn sends<T: ToSchema>(mut self) -> Self {
        let body = RequestBodyBuilder::new()
            .required(Some(Required::True))
            .content(JSON, Content::new(Some(schema::reference::<T>())));
        self.builder = self.builder.request_body(Some(body.build()));
        self.names::<T>()
    }

    /// Returns JSON.
    pub(super) fn returns<T: ToSchema>(self, description: &str) -> Self {
        let answer =
            answer(description).content(JSON, Content::new(Some(schema::reference::<T>())));
        self.names::<T>().answers(StatusCode::OK, answer)
    }

    /// Returns a list as JSON.
    pub(super) fn returns_list<T: ToSchema>(self, description: &str) -> Self {
        let answer = answer(description).content(JSON, Content::new(Some(schema::list_of::<T>())));
        self.names::<T>().answers(StatusCode::OK, answer)
    }

    /// Returns something of another type.
    pub(super) fn returns_other(self, content_type: &str, kind: Type, description: &str) -> Self {
        let content = Content::new(Some(schema::of_type(kind).build()));
        self.answers(StatusCode::OK, answer(description).content(content_type, content))
    }

    /// Returns no content.
    pub(super) fn returns_nothing(self, description: &str) -> Self {
        self.answers(StatusCode::NO_CONTENT, answer(description))
    }

    /// Returns what it created; `location` describes the header of that name, if there is one.
    pub(super) fn creates<T: ToSchema>(self, description: &str, location: Option<&str>) -> Self {
        let created =
            answer(description).content(JSON, Content::new(Some(schema::reference::<T>())));
        let created = match location {
            Some(location) => created.header("Location", header(Type::String, location)),
            None => created,
        };
        self.names::<T>().answers(StatusCode::CREATED, created)
    }

    fn answers(mut self, status: StatusCode, answer: ResponseBuilder) -> Self {
        self.answers.insert(status.as_u16(), answer);
        self
    }

    /// Can fail in these ways.
    pub(super) fn fails(mut self, kinds: &[ErrorKind]) -> Self {
        for kind in kinds {
            let kinds = self.failures.entry(reply::status(*kind).as_u16()).or_default();
            if !kinds.contains(kind) {
                kinds.push(*kind);
            }
        }
        self
    }

    /// Adds the schema of a type to the document.
    fn names<T: ToSchema>(mut self) -> Self {
        schema::add::<T>(&mut self.schemas);
        self
    }

    /// Returns the operation for the document, and the schemas that it refers to.
    pub(super) fn build(self) -> (OperationBuilder, NamedSchemas) {
        let failures =
            self.failures.into_iter().map(|(status, kinds)| (status, failure(status, &kinds)));
        let answers = self.answers.into_iter().chain(failures);
        let operation = answers.fold(self.builder, |operation, (status, answer)| {
            operation.response(status.to_string(), answer.build())
        });
        (operation, self.schemas)
    }
}

fn answer(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description)
}

fn failure(status: u16, kinds: &[ErrorKind]) -> ResponseBuilder {
    let codes: Vec<_> = kinds.iter().map(|kind| format!("`{}`", kind.code())).collect();
    let failed = answer(&codes.join(", "))
        .content(PROBLEM, Content::new(Some(schema::reference::<Problem>())));
    if matches!(status, 429 | 503) {
        let after = header(Type::Integer, "Seconds after which another attempt can succeed.");
        failed.header("Retry-After", after)
    } else {
        failed
    }
}

fn header(kind: Type, description: &str) -> Header {
    let schema = schema::of_type(kind).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}
