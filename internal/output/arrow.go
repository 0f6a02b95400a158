package output

import (
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/brotally/brotally/feeds"
)

// A record batch has that many rows at most, or about that many bytes.
const (
	arrowRows  = 16 << 10
	arrowBytes = 1 << 20
)

// arrowWriter writes an Arrow IPC stream.
type arrowWriter struct {
	to    io.Writer
	w     *ipc.Writer
	rows  *array.RecordBuilder
	n     int // rows in it
	bytes int
}

// arrowType is the type that a column has in Arrow.
func arrowType(t feeds.Type) arrow.DataType {
	switch t.Kind {
	case feeds.Bool:
		return arrow.FixedWidthTypes.Boolean
	case feeds.Bigint:
		return arrow.PrimitiveTypes.Int64
	case feeds.Ubigint:
		return arrow.PrimitiveTypes.Uint64
	case feeds.Numeric:
		return &arrow.Decimal128Type{Precision: 38}
	case feeds.Double, feeds.Interval:
		return arrow.PrimitiveTypes.Float64
	case feeds.Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	case feeds.Array:
		return arrow.ListOf(arrowType(feeds.T(t.Elem)))
	case feeds.Null:
		return arrow.Null
	}
	return arrow.BinaryTypes.String
}

func (a *arrowWriter) Header(columns []Column) error {
	var fields []arrow.Field
	for _, c := range columns {
		f := arrow.Field{Name: c.Name, Type: arrowType(c.Type), Nullable: true, Metadata: arrow.MetadataFrom(map[string]string{"brotally.type": c.Type.String()})}
		fields = append(fields, f)
	}
	schema := arrow.NewSchema(fields, nil)
	a.w = ipc.NewWriter(a.to, ipc.WithSchema(schema))
	a.rows = array.NewRecordBuilder(memory.DefaultAllocator, schema)
	return nil
}

func (a *arrowWriter) Row(row []feeds.Value) error {
	for i, v := range row {
		a.append(a.rows.Field(i), v)
	}
	if a.n++; a.n >= arrowRows || a.bytes >= arrowBytes {
		return a.flush()
	}
	return nil
}

func (a *arrowWriter) append(to array.Builder, v feeds.Value) {
	a.bytes += 8
	if v.IsNull() {
		to.AppendNull()
		return
	}
	switch to := to.(type) {
	case *array.BooleanBuilder:
		to.Append(v.IsTrue())
	case *array.Int64Builder:
		to.Append(v.Int())
	case *array.Uint64Builder:
		to.Append(v.Uint())
	case *array.Decimal128Builder:
		n := v.Int128()
		to.Append(decimal128.New(n.Hi, n.Lo))
	case *array.Float64Builder:
		to.Append(v.Float())
	case *array.TimestampBuilder:
		to.Append(arrow.Timestamp(v.Micros()))
	case *array.ListBuilder:
		to.Append(true)
		for _, e := range v.List() {
			a.append(to.ValueBuilder(), e)
		}
	case *array.StringBuilder:
		text := strings.ToValidUTF8(string(v.AppendText(nil)), "\ufffd") // Arrow's strings are UTF-8
		a.bytes += len(text)
		to.Append(text)
	default:
		to.AppendNull()
	}
}

func (a *arrowWriter) flush() error {
	if a.n == 0 {
		return nil
	}
	batch := a.rows.NewRecordBatch()
	defer batch.Release()
	a.n, a.bytes = 0, 0
	return a.w.Write(batch)
}

func (a *arrowWriter) Close() error {
	defer a.rows.Release()
	if err := a.flush(); err != nil {
		return err
	}
	return a.w.Close()
}
