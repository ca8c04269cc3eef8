//! Columns whose rows are lists of structs.

use arrow_array::builder::{ListBuilder, StructBuilder};
use arrow_schema::{DataType, Field, Fields};

pub(crate) fn label_fields() -> Fields {
    let small = |name: &str| Field::new(name, DataType::UInt8, false);
    Fields::from(vec![
        Field::new("label", DataType::UInt32, false),
        small("exp"),
        small("bos"),
        small("ttl"),
    ])
}

pub(crate) fn structs(fields: Fields) -> ListBuilder<StructBuilder> {
    let item = Field::new("item", DataType::Struct(fields.clone()), false);
    ListBuilder::new(StructBuilder::from_fields(fields, 0)).with_field(item)
}

pub(crate) fn field<T: arrow_array::builder::ArrayBuilder>(
    entry: &mut StructBuilder,
    place: usize,
) -> &mut T {
    entry
        .field_builder(place)
        .expect("the builders are those of the fields")
}
