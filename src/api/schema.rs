//! Schemas of the OpenAPI document that no derive writes.

use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::camera::id::ID_PATTERN;

/// Schemas with their names.
pub(super) type NamedSchemas = Vec<(String, RefOr<Schema>)>;

/// Adds the schema of a type, and those that it refers to.
pub(super) fn add<T: ToSchema>(schemas: &mut NamedSchemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// A reference to the schema of a type.
pub(super) fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

/// A list of a type.
pub(super) fn list_of<T: ToSchema>() -> Schema {
    ArrayBuilder::new().items(reference::<T>()).into()
}

/// A value of a primitive type.
pub(super) fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

/// A text that matches a pattern, if there is one.
pub(super) fn text(pattern: Option<&str>) -> Schema {
    of_type(Type::String).pattern(pattern).into()
}

/// A camera's id where a number is accepted as well.
pub(super) fn id_or_number() -> Schema {
    OneOfBuilder::new()
        .item(text(Some(ID_PATTERN)))
        .item(of_type(Type::Integer).minimum(Some(0)))
        .description(Some("The camera's id. Numbers are accepted as well."))
        .into()
}

/// Fields that are all there or all missing. The derived schema would ask for null instead.
pub(super) fn all_or_none<T: ToSchema>(description: &str) -> Schema {
    let fields = AnyOfBuilder::new().item(reference::<T>()).item(of_type(Type::Object));
    fields.description(Some(description)).into()
}
