//! Schemas of the OpenAPI document that cannot be derived.

use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};

use crate::camera::id::ID_PATTERN;

/// Schemas with their names.
pub(super) type NamedSchemas = Vec<(String, RefOr<Schema>)>;

/// Adds the schema of a type, and the schemas that it refers to.
pub(super) fn add<T: ToSchema>(schemas: &mut NamedSchemas) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

/// Returns a reference to the schema of a type.
pub(super) fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

/// Returns the schema of a list of a type.
pub(super) fn list_of<T: ToSchema>() -> Schema {
    ArrayBuilder::new().items(reference::<T>()).into()
}

/// Returns the schema of a list of a type, or of an object whose field `field` is the list.
pub(super) fn list_or_object<T: ToSchema>(field: &str) -> Schema {
    let object = ObjectBuilder::new().property(field, list_of::<T>()).required(field);
    OneOfBuilder::new().item(list_of::<T>()).item(object).into()
}

/// Returns the schema of `T`, or of a list of `E`.
pub(super) fn one_or_list<T: ToSchema, E: ToSchema>() -> Schema {
    OneOfBuilder::new().item(reference::<T>()).item(list_of::<E>()).into()
}

/// Returns the schema of a primitive type.
pub(super) fn of_type(kind: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(kind)
}

/// Returns the schema of a string, which matches `pattern` if there is one.
pub(super) fn string(pattern: Option<&str>) -> Schema {
    of_type(Type::String).pattern(pattern).into()
}

/// Returns the schema of a camera's id in requests that accept a number as well.
pub(super) fn id_or_number() -> Schema {
    OneOfBuilder::new()
        .item(string(Some(ID_PATTERN)))
        .item(of_type(Type::Integer).minimum(Some(0)))
        .description(Some("The camera's id. Numbers are accepted as well."))
        .into()
}

/// Returns the schema of fields that are either all present or all missing. With the derived schema, a
/// response without these fields would be valid only if the response itself were null.
pub(super) fn all_or_none<T: ToSchema>(description: &str) -> Schema {
    let fields = AnyOfBuilder::new().item(reference::<T>()).item(of_type(Type::Object));
    fields.description(Some(description)).into()
}
