//! Tables as Parquet files: plain columns in one row group, null where nothing was measured.

use std::sync::Arc;

use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type},
    errors::Result,
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};

use super::{Column, Values, Wide};

/// The bytes of a file.
///
/// # Errors
/// Where the table cannot be written in this format.
pub fn bytes(table: &Wide) -> Result<Vec<u8>> {
    let mut fields = table.columns.iter().map(field).collect::<Result<Vec<_>>>()?;
    let schema = Type::group_type_builder("run").with_fields(std::mem::take(&mut fields)).build()?;
    let properties = WriterProperties::builder().set_created_by(created_by()).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut rows = writer.next_row_group()?;
    table.columns.iter().try_for_each(|column| write(&mut rows, &column.values))?;
    rows.close()?;
    writer.into_inner()
}

fn created_by() -> String {
    concat!("lyapunov version ", env!("CARGO_PKG_VERSION")).to_owned()
}

fn field(column: &Column) -> Result<Arc<Type>> {
    let (physical, repetition, logical) = match column.values {
        Values::Counts(_) => (Physical::INT64, Repetition::REQUIRED, None),
        Values::Numbers(_) => (Physical::DOUBLE, Repetition::OPTIONAL, None),
        Values::Texts(_) => (Physical::BYTE_ARRAY, Repetition::OPTIONAL, Some(LogicalType::String)),
    };
    let field = Type::primitive_type_builder(&column.name, physical);
    field.with_repetition(repetition).with_logical_type(logical).build().map(Arc::new)
}

fn write(rows: &mut SerializedRowGroupWriter<'_, Vec<u8>>, values: &Values) -> Result<()> {
    match values {
        Values::Counts(counts) => {
            let counts: Vec<i64> = counts.iter().map(|count| count.cast_signed()).collect();
            write_column::<Int64Type>(rows, &counts, None)
        }
        Values::Numbers(numbers) => {
            let known: Vec<f64> = numbers.iter().copied().flatten().collect();
            write_column::<DoubleType>(rows, &known, Some(&levels(numbers)))
        }
        Values::Texts(texts) => {
            let known: Vec<ByteArray> = texts.iter().flatten().map(|text| ByteArray::from(text.as_str())).collect();
            write_column::<ByteArrayType>(rows, &known, Some(&levels(texts)))
        }
    }
}

/// 1 where there is a value, 0 where there is none.
fn levels<T>(values: &[Option<T>]) -> Vec<i16> {
    values.iter().map(|value| i16::from(value.is_some())).collect()
}

fn write_column<T: DataType>(
    rows: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let Some(mut column) = rows.next_column()? else { return Ok(()) };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::Field,
    };

    use super::*;
    use crate::export::{joined, wide::example};

    #[test]
    fn a_file_reads_back_to_the_same_bits() {
        let table = joined(vec![("a".to_owned(), Wide::of(&example())), ("b".to_owned(), Wide::of(&example()))]);
        let bytes = bytes(&table).unwrap();
        assert_eq!((&bytes[..4], &bytes[bytes.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(std::result::Result::unwrap).collect();
        assert_eq!(rows.len(), 6);
        let value = |row: usize, name: &str| {
            rows[row].get_column_iter().find(|(column, _)| *column == name).map(|(_, field)| field.clone()).unwrap()
        };
        assert_eq!(value(3, "run"), Field::Str("b".to_owned()));
        assert_eq!(value(5, "step"), Field::Long(2));
        let Field::Double(found) = value(5, "lambda_max[subset=500]") else { panic!("a number") };
        assert_eq!(found.to_bits(), (-1.234_567_890_123_456_7e-300_f64).to_bits());
        let Field::Double(loss) = value(0, "loss") else { panic!("a number") };
        assert_eq!(loss.to_bits(), (1.0_f64 / 3.0).to_bits());
        assert_eq!((value(0, "exponent_1"), value(2, "test_accuracy")), (Field::Null, Field::Null));
    }
}
