// Package codecs turns bytes into records and results into bytes: the JSON that Bro's Kafka plugin writes, Avro, Zeek's
// log files, the packs and rows that the processors exchange, and the result topics' keys and values. It knows nothing of
// Kafka, and of a schema registry only what [Schemas] says.
//
//	layout := &feeds.Layout{Feed: "dns"}
//	host := layout.Slot(dns.Columns[2]) // id.orig_h
//	decoder := codecs.NewJSON(layout)
//	var rec feeds.Record
//	if err := decoder.Decode(message, &rec); err == nil {
//		fmt.Println(rec.Values[host])
//	}
//
// # What is a bad record
//
// A record is bad when it is neither one JSON object nor the Avro record that its schema says, whatever its fields: its error is a [*DecodeError]. A field that is
// not of its column's type makes no bad record: it is NULL, and counted in the record's BadFields.
package codecs
