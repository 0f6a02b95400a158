package views

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// This file is the API's own description, OpenAPI 3.1. Media types, formats and operators come from the handlers' tables, and a test
// holds real answers against the rest.

type object = map[string]any

// openAPI answers GET /openapi.json.
func (s *server) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(openAPIDocument()) // who went away needs no answer
	return nil
}

var openAPIDocument = sync.OnceValue(func() []byte {
	b, err := json.MarshalIndent(describeAPI(), "", "  ")
	if err != nil {
		panic(err) // it is made of what can be written
	}
	return append(b, '\n')
})

func describeAPI() object {
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Brotally", "version": "1",
			"description": "Live tables over Zeek logs in Kafka. Filters and formats are told of in docs/HTTP.md, the SQL of look-ups in docs/SQL.md.",
			"license":     object{"name": "See LICENSE", "url": "https://github.com/brotally/brotally/blob/main/LICENSE"},
		},
		"servers":  []object{{"url": "/"}},
		"security": []object{{}, {"bearer": []string{}}, {"basic": []string{}}},
		"paths": object{
			"/api/v1/tables": object{"get": operation("listTables", "The tables", nil,
				statuses(object{"200": answered("The tables by name", inJSON(ref("TableList")))}, 401, 403, 414))},
			"/api/v1/tables/{table}": object{"get": operation("getTable", "A table with its columns, topics and progress", params(tableParam),
				statuses(object{"200": answered("The table", inJSON(ref("Table")))}, 401, 403, 404, 414))},
			"/api/v1/tables/{table}/rows": object{"get": operation("getRows", "Rows of a table",
				params(tableParam, "order", "limit", "offset", "after", "format", "null", "spreadsheet", "min_offset", "stale", "filters", "If-None-Match"),
				statuses(object{
					"200": object{"description": "The rows. Large answers are sent as they are read: Brotally-Rows and Brotally-Approximate are trailers then.",
						"headers": headers("ETag", "Link", "Brotally-As-Of", "Brotally-Event-Time", "Brotally-Rows", "Brotally-Next", "Brotally-Partial", "Brotally-Approximate"),
						"content": inFormats()},
					"304": object{"description": "The rows are those that the client has; the headers say what they reflect by now",
						"headers": headers("ETag", "Brotally-As-Of", "Brotally-Event-Time")},
				}, 400, 401, 403, 404, 406, 413, 414, 429, 503))},
			"/api/v1/tables/{table}/changes": object{"get": operation("followChanges", "A snapshot of a table, and then its changes as they happen: server-sent events",
				params(tableParam, "snapshot", "last_event_id", "stale", "filters", "Last-Event-ID"),
				statuses(object{"200": object{"description": "Events, until one side ends the connection: snapshot, rows, upsert, delete, as_of, reset, error. Who comes back with the id of the last one goes on behind it.",
					"content": object{"text/event-stream": object{"schema": text}}}}, 400, 401, 403, 404, 414, 429, 503))},
			"/api/v1/query": object{"post": merged(operation("query", "A look-up in SQL", params("format", "null", "spreadsheet", "min_offset", "stale"),
				statuses(object{"200": object{"description": "The rows, or for EXPLAIN how they would be found",
					"headers": headers("Brotally-As-Of", "Brotally-Event-Time", "Brotally-Rows", "Brotally-Partial", "Brotally-Approximate"),
					"content": inFormats()}}, 400, 401, 403, 404, 406, 413, 414, 415, 429, 503)),
				object{"requestBody": object{"required": true, "content": inJSON(ref("Query"))}})},
			"/openapi.json": object{"get": operation("describe", "This description", nil,
				statuses(object{"200": answered("OpenAPI 3.1", inJSON(object{"type": "object"}))}, 401, 403, 414))},
			"/healthz": object{"get": operation("alive", "Whether the process is there", nil,
				statuses(object{"200": answered("It is", inJSON(record(object{"status": object{"const": "ok"}}, "status")))}, 403, 414))},
			"/readyz": object{"get": operation("ready", "Whether all tables can be asked", nil,
				statuses(object{
					"200": answered("They can", inJSON(ref("Ready"))),
					"503": object{"description": "Some cannot yet", "headers": headers("Retry-After"), "content": inJSON(object{"oneOf": []object{ref("Ready"), ref("Error")}})},
				}, 403, 414))},
			"/metrics": object{"get": operation("metrics", "Numbers for Prometheus; a token has to be of the role admin", nil,
				statuses(object{"200": answered("The numbers", object{"text/plain": object{"schema": object{"type": "string"}}})}, 401, 403, 404, 414))},
		},
		"components": object{
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer"},
				"basic":  object{"type": "http", "scheme": "basic", "description": "The token is the password, the user may be anybody."},
			},
			"parameters": parameters(), "headers": headerComponents(), "responses": errorResponses(), "schemas": schemas(),
		},
	}
}

func operation(id, summary string, parameters []object, responses object) object {
	o := object{"operationId": id, "summary": summary, "responses": responses}
	if parameters != nil {
		o["parameters"] = parameters
	}
	return o
}

func merged(a, b object) object {
	for k, v := range b {
		a[k] = v
	}
	return a
}

func ref(schema string) object { return object{"$ref": "#/components/schemas/" + schema} }

func inJSON(schema object) object { return object{"application/json": object{"schema": schema}} }

func answered(description string, content object) object {
	return object{"description": description, "content": content}
}

// record is a JSON object that has these fields and no others; required always, the others at times.
func record(properties object, required ...string) object {
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func list(of object) object { return object{"type": "array", "items": of} }

var (
	text    = object{"type": "string"}
	integer = object{"type": "integer"}
	natural = object{"type": "integer", "minimum": 0}
	boolean = object{"type": "boolean"}
)

const tableParam = "table"

func params(names ...string) (all []object) {
	for _, name := range names {
		all = append(all, object{"$ref": "#/components/parameters/" + name})
	}
	return all
}

func parameters() object {
	query := func(name, description string, schema object) object {
		return object{"name": name, "in": "query", "description": description, "schema": schema}
	}
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = string(f)
	}
	return object{
		"table":         object{"name": "table", "in": "path", "required": true, "description": "The table's name", "schema": object{"type": "string", "minLength": 1}},
		"order":         query(paramOrder, "Columns with commas between; -column is descending. NULL comes last.", text),
		"limit":         query(paramLimit, "How many rows. With it and without offset the answer is a page and says where the next one begins.", object{"type": "integer", "format": "int64", "minimum": 0}),
		"offset":        query(paramOffset, "How many rows to leave out first. Not with after.", object{"type": "integer", "format": "int64", "minimum": 0}),
		"after":         query(paramAfter, "The token of the next page that an answer to the same filters and order gave.", object{"type": "string", "maxLength": maxToken}),
		"format":        query(paramFormat, "The format; else Accept says it.", object{"enum": names}),
		"null":          query(paramNull, "What csv and tsv write for NULL.", text),
		"spreadsheet":   query(paramSpreadsheet, "Makes texts that a spreadsheet would take for formulas harmless, in csv and tsv.", object{"enum": []string{"true", "false", "1", "0"}}),
		"min_offset":    query(paramMinOffset, "Waits until the table reflects its source up to these offsets: dns/0:41,dns/1:17, or one for all.", text),
		"stale":         query(paramStale, "What there is will do, also while the table is being restored.", object{"enum": []string{"true", "false", "1", "0"}}),
		"snapshot":      query(paramSnapshot, "false: no rows at first, only changes from now on.", object{"enum": []string{"true", "false", "1", "0"}}),
		"last_event_id": query(paramLastID, "As the header Last-Event-ID, which comes first, for who cannot send it.", text),
		"filters": object{"name": "filters", "in": "query", "style": "form", "explode": true,
			"description": `COLUMN=value, and COLUMN.OPERATOR=value with ` + operatorNames() + `. NULL is \N. A column with a parameter's name is col.NAME.`,
			"schema":      object{"type": "object", "additionalProperties": text}},
		"If-None-Match": object{"name": "If-None-Match", "in": "header", "description": "The ETag of the rows that the client has", "schema": text},
		"Last-Event-ID": object{"name": "Last-Event-ID", "in": "header", "description": "The id of the last event that came; browsers send it by themselves", "schema": text},
	}
}

func operatorNames() string {
	names := []string{string(opUnequal), string(opSubnet)}
	for name := range comparisons {
		names = append(names, string(name))
	}
	slices.Sort(names)
	all := ""
	for i, name := range names {
		all += []string{"", ", "}[min(i, 1)] + name
	}
	return all
}

func headers(names ...string) object {
	all := object{}
	for _, name := range names {
		all[name] = object{"$ref": "#/components/headers/" + name}
	}
	return all
}

func headerComponents() object {
	header := func(description string, schema object) object {
		return object{"description": description, "schema": schema}
	}
	return object{
		"ETag":                 header("Of these rows in this format; weak", text),
		"Link":                 header(`The next page: <..>; rel="next"`, text),
		"Retry-After":          header("Seconds after which it may work", natural),
		"Allow":                header("The methods that there are", text),
		"WWW-Authenticate":     header("How to say who one is", text),
		"Brotally-As-Of":       header("as_of as JSON; not with json, whose meta has it", text),
		"Brotally-Event-Time":  header("The newest time of a record", object{"type": "string", "format": "date-time"}),
		"Brotally-Rows":        header("How many rows there are", natural),
		"Brotally-Next":        header("The token of the next page", text),
		"Brotally-Partial":     header("true: the table was being restored, and rows are missing", text),
		"Brotally-Approximate": header("Columns that have estimates, escaped as in a query string, with commas between", text),
	}
}

// errorStatuses are what else than an answer may come, by status.
var errorStatuses = map[int]string{
	400: "Something in the request is not right", 401: "A token is wanted", 403: "The host's name, the page that asks or the token's role is refused",
	404: "There is no such table, or nothing at that path", 405: "The path takes other methods", 406: "None of the accepted types can be had", 413: "The request is too large, or its answer is more than may be kept",
	414: "The address is too long", 415: "The body is not JSON", 429: "Too many look-ups scan, or too many listen to changes", 503: "The table is being restored or behind, or the look-up takes too long",
}

// statuses adds errors to answers; every operation may meet a method that it does not take, and a fault of ours.
func statuses(responses object, codes ...int) object {
	for _, code := range append(codes, 405) {
		responses[strconv.Itoa(code)] = object{"$ref": "#/components/responses/" + strconv.Itoa(code)}
	}
	responses["default"] = object{"$ref": "#/components/responses/default"}
	return responses
}

func errorResponses() object {
	all := object{"default": answered("A fault of the server", inJSON(ref("Error")))}
	for code, description := range errorStatuses {
		response := answered(description, inJSON(ref("Error")))
		switch code {
		case 401:
			response["headers"] = headers("WWW-Authenticate")
		case 405:
			response["headers"] = headers("Allow")
		case 429, 503:
			response["headers"] = headers("Retry-After")
		}
		all[strconv.Itoa(code)] = response
	}
	return all
}

// inFormats is what rows come as.
func inFormats() object {
	content := inJSON(ref("Rows"))
	for _, f := range formats {
		switch f {
		case formatJSON:
		case formatArrow:
			content[mediaTypes[f][0]] = object{} // bytes
		default:
			content[mediaTypes[f][0]] = object{"schema": text}
		}
	}
	return content
}

func schemas() object {
	counts := object{}
	var names []string
	for _, name := range []string{"read", "counted", "filtered", "other_feed", "no_time", "dead_lettered", "bad_fields", "overflows", "cut_keys", "lost", "skewed", "late"} {
		counts[name] = natural
		names = append(names, name)
	}
	offsets := object{"type": "object", "description": "Next offsets by topic and partition",
		"additionalProperties": object{"type": "object", "additionalProperties": natural}}
	time := object{"type": []string{"string", "null"}, "format": "date-time"}
	recovery := record(object{"done": natural, "total": natural}, "done", "total")
	table := func() object {
		return object{"name": text, "feed": text, "ready": boolean, "state": text, "groups": natural, "bytes": natural, "event_time": time, "heard": time,
			"counts": ref("Counts"), "recovery": recovery}
	}
	required := []string{"name", "feed", "ready", "state", "groups", "bytes", "event_time", "heard", "counts"}
	return object{
		"Error": record(object{"error": record(object{
			"code": object{"type": "string", "description": "One word for programs", "pattern": "^[a-z_]+$"}, "message": text, "hint": text,
			"line": integer, "column": integer, "text": text, "done": natural, "total": natural,
		}, "code", "message")}, "error"),
		"Counts":    merged(record(counts, names...), object{"description": "read = counted + filtered + other_feed + no_time + dead_lettered"}),
		"Offsets":   offsets,
		"TableList": record(object{"tables": list(record(table(), required...))}, "tables"),
		"Table": record(merged(table(), object{
			"sql": text, "adds_up": boolean, "as_of": ref("Offsets"),
			"columns": list(record(object{"name": text, "type": text, "key": boolean, "aggregate": boolean}, "name", "type", "key", "aggregate")),
			"topics":  record(object{"feed": list(text), "result": text, "partials": text, "changelog": text}, "feed", "result", "partials", "changelog"),
			"progress": list(record(object{"topic": text, "partition": natural, "offset": natural, "event_time": time, "heard": time, "counts": ref("Counts")},
				"topic", "partition", "offset", "event_time", "heard", "counts")),
		}), append(required, "sql", "adds_up", "as_of", "columns", "topics", "progress")...),
		"Rows": record(object{
			"columns": list(record(object{"name": text, "type": text}, "name", "type")),
			"rows":    merged(list(list(object{"type": []string{"string", "number", "boolean", "array", "null"}})), object{"description": "By row, then by column. Integers of any size are exact."}),
			"meta": record(object{
				"table": text, "as_of": ref("Offsets"), "event_time": time, "rows": natural, "counts": ref("Counts"), "partial": boolean, "max_groups_reached": boolean,
				"approximate": list(record(object{"column": text, "rows": list(natural)}, "column", "rows")),
				"next":        text, "took_ms": object{"type": "number"},
			}, "table", "as_of", "event_time", "rows", "counts", "took_ms"),
		}, "columns", "rows", "meta"),
		"Query": record(object{
			"sql": object{"type": "string", "minLength": 1}, "stale": boolean, "format": text,
			"params":     object{"type": []string{"array", "null"}, "items": object{"type": []string{"string", "number", "boolean", "null"}}, "description": "What $1, $2 .. stand for"},
			"min_offset": object{"anyOf": []object{text, natural, ref("Offsets"), {"type": "null"}}},
		}, "sql"),
		"Ready": record(object{"ready": boolean, "tables": list(record(object{"name": text, "ready": boolean, "state": text, "done": natural, "total": natural},
			"name", "ready", "state", "done", "total"))}, "ready", "tables"),
	}
}
