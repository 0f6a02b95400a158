// Package grafana makes the dashboards that come with Brotally: go generate writes dashboards/*.json, which Grafana reads.
//
//	for name, dashboard := range grafana.Dashboards() {
//		text, err := dashboard.JSON() // of dashboards/name.json
//	}
package grafana

//go:generate go test . -run TestFilesAreGenerated -update

import (
	"bytes"
	"encoding/json"
)

// Names of the data sources, as provisioning/datasources has them.
const (
	prometheusUID = "prometheus"
	brotallyUID   = "brotally"
)

// Dashboard is a dashboard as Grafana 11 and later read it.
type Dashboard struct {
	UID           string     `json:"uid"`
	Title         string     `json:"title"`
	Description   string     `json:"description"`
	Tags          []string   `json:"tags"`
	Timezone      string     `json:"timezone"`
	Editable      bool       `json:"editable"`
	SchemaVersion int        `json:"schemaVersion"`
	Refresh       string     `json:"refresh"`
	Time          TimeRange  `json:"time"`
	Templating    Templating `json:"templating"`
	Panels        []*Panel   `json:"panels"`

	x, y, height int // where the next panel goes
}

// TimeRange is what is shown at first.
type TimeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Templating has the variables.
type Templating struct {
	List []Variable `json:"list"`
}

// Variable is a choice on top of the dashboard: the values of a label.
type Variable struct {
	Name       string `json:"name"`
	Label      string `json:"label"`
	Type       string `json:"type"`
	Datasource Source `json:"datasource"`
	Query      string `json:"query"`
	Refresh    int    `json:"refresh"`
	Sort       int    `json:"sort"`
	IncludeAll bool   `json:"includeAll"`
	Multi      bool   `json:"multi"`
}

// Source names a data source.
type Source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// Panel is one picture.
type Panel struct {
	ID          int          `json:"id"`
	Type        string       `json:"type"`
	Title       string       `json:"title"`
	Description string       `json:"description,omitempty"`
	GridPos     GridPos      `json:"gridPos"`
	Datasource  *Source      `json:"datasource,omitempty"`
	Targets     []Target     `json:"targets,omitempty"`
	FieldConfig *FieldConfig `json:"fieldConfig,omitempty"`
	Options     any          `json:"options,omitempty"`
	Collapsed   *bool        `json:"collapsed,omitempty"`
}

// GridPos is a place on a grid of 24 columns.
type GridPos struct {
	H int `json:"h"`
	W int `json:"w"`
	X int `json:"x"`
	Y int `json:"y"`
}

// Target is one query: PromQL, or a URL below Brotally's.
type Target struct {
	RefID        string      `json:"refId"`
	Datasource   Source      `json:"datasource"`
	Expr         string      `json:"expr,omitempty"`
	LegendFormat string      `json:"legendFormat,omitempty"`
	Instant      bool        `json:"instant,omitempty"`
	Range        bool        `json:"range,omitempty"`
	Format       string      `json:"format,omitempty"`
	Type         string      `json:"type,omitempty"`   // Infinity: "csv", "json"
	Source       string      `json:"source,omitempty"` // Infinity: "url"
	Parser       string      `json:"parser,omitempty"`
	URL          string      `json:"url,omitempty"`
	URLOptions   *URLOptions `json:"url_options,omitempty"`
	RootSelector string      `json:"root_selector,omitempty"`
	Columns      []Column    `json:"columns,omitempty"`
}

// URLOptions says how Infinity asks.
type URLOptions struct {
	Method      string `json:"method"`
	BodyType    string `json:"body_type,omitempty"`
	ContentType string `json:"body_content_type,omitempty"`
	Data        string `json:"data,omitempty"`
}

// Column is a field that Infinity takes.
type Column struct {
	Selector string `json:"selector"`
	Text     string `json:"text"`
	Type     string `json:"type"` // "string", "number", "timestamp"
}

// FieldConfig says how values are shown.
type FieldConfig struct {
	Defaults  Defaults `json:"defaults"`
	Overrides []any    `json:"overrides"`
}

// Defaults are of all fields.
type Defaults struct {
	Unit       string         `json:"unit,omitempty"`
	Min        *int           `json:"min,omitempty"`
	Thresholds *Thresholds    `json:"thresholds,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

// Thresholds colour values.
type Thresholds struct {
	Mode  string `json:"mode"`
	Steps []Step `json:"steps"`
}

// Step is a colour from a value on; nil is from the beginning.
type Step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"`
}

// JSON returns the dashboard as its file holds it.
func (d *Dashboard) JSON() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(d)
	return b.Bytes(), err
}

func newDashboard(uid, title, description string) *Dashboard {
	return &Dashboard{UID: uid, Title: title, Description: description, Tags: []string{"brotally"}, Timezone: "browser", SchemaVersion: 39,
		Refresh: "10s", Time: TimeRange{From: "now-1h", To: "now"}, Templating: Templating{List: []Variable{}}}
}

// row begins a row of panels with a heading.
func (d *Dashboard) row(title string) {
	open := false
	d.newline()
	p := d.place(&Panel{Type: "row", Title: title, Collapsed: &open}, 24, 1)
	p.GridPos.X = 0
	d.newline()
}

func (d *Dashboard) newline() {
	d.x, d.y, d.height = 0, d.y+d.height, 0
}

func (d *Dashboard) place(p *Panel, w, h int) *Panel {
	if d.x+w > 24 {
		d.newline()
	}
	p.ID, p.GridPos = len(d.Panels)+1, GridPos{H: h, W: w, X: d.x, Y: d.y}
	d.x, d.height = d.x+w, max(d.height, h)
	d.Panels = append(d.Panels, p)
	return p
}

// query is PromQL and what its series are called; {{label}} stands for a label's value.
type query struct{ expr, legend string }

func (d *Dashboard) prometheus(kind, title, description, unit string, w, h int, queries ...query) *Panel {
	at, zero := Source{"prometheus", prometheusUID}, 0
	p := d.place(&Panel{Type: kind, Title: title, Description: description, Datasource: &at,
		FieldConfig: &FieldConfig{Defaults: Defaults{Unit: unit, Min: &zero}, Overrides: []any{}}}, w, h)
	for i, q := range queries {
		p.Targets = append(p.Targets, Target{RefID: string(rune('A' + i)), Datasource: at, Expr: q.expr, LegendFormat: q.legend, Range: kind == "timeseries", Instant: kind != "timeseries"})
	}
	return p
}

// number is one value; from warn on it is yellow, from bad on red. A pair of zeros has no colours, a bad below warn colours
// small values.
func (d *Dashboard) number(title, description, unit, expr string, warn, bad float64) {
	p := d.prometheus("stat", title, description, unit, 4, 4, query{expr, ""})
	p.Options = map[string]any{"reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}}, "colorMode": "value", "graphMode": "area"}
	steps := []Step{{Color: "green"}}
	switch {
	case warn == 0 && bad == 0:
	case bad < warn:
		steps = []Step{{Color: "red"}, {Color: "yellow", Value: &bad}, {Color: "green", Value: &warn}}
	default:
		steps = append(steps, Step{"yellow", &warn}, Step{"red", &bad})
	}
	p.FieldConfig.Defaults.Thresholds = &Thresholds{Mode: "absolute", Steps: steps}
}

// graph is lines over time, two a row.
func (d *Dashboard) graph(title, description, unit string, queries ...query) {
	p := d.prometheus("timeseries", title, description, unit, 12, 8, queries...)
	p.Options = map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom"}, "tooltip": map[string]any{"mode": "multi", "sort": "desc"}}
	p.FieldConfig.Defaults.Custom = map[string]any{"fillOpacity": 10, "showPoints": "never"}
}

// stacked is a graph whose lines add up.
func (d *Dashboard) stacked(title, description, unit string, queries ...query) {
	d.graph(title, description, unit, queries...)
	custom := d.Panels[len(d.Panels)-1].FieldConfig.Defaults.Custom
	custom["fillOpacity"], custom["stacking"] = 40, map[string]any{"mode": "normal"}
}

// list is a table made of a list in what Brotally answers at a path.
func (d *Dashboard) list(title, description, path, root string, w, h int, columns ...Column) {
	t := Target{Type: "json", URL: path, URLOptions: &URLOptions{Method: "GET"}, RootSelector: root}
	d.infinity(title, description, w, h, t, columns)
}

// lookup is a table that Brotally answers an SQL text with. Columns need names without dots: Infinity takes them for a path.
func (d *Dashboard) lookup(title, description, sql string, w, h int, columns ...Column) {
	body, err := json.Marshal(map[string]string{"sql": sql})
	if err != nil {
		panic(err) // a text can be written
	}
	t := Target{Type: "csv", URL: "/api/v1/query?format=csv",
		URLOptions: &URLOptions{Method: "POST", BodyType: "raw", ContentType: "application/json", Data: string(body)}}
	d.infinity(title, description, w, h, t, columns)
}

func (d *Dashboard) infinity(title, description string, w, h int, t Target, columns []Column) {
	at := Source{"yesoreyeram-infinity-datasource", brotallyUID}
	t.RefID, t.Datasource, t.Source, t.Format, t.Parser, t.Columns = "A", at, "url", "table", "backend", columns
	p := d.place(&Panel{Type: "table", Title: title, Description: description, Datasource: &at, FieldConfig: &FieldConfig{Overrides: []any{}}}, w, h)
	p.Targets = []Target{t}
}

func text(name string) Column   { return Column{name, name, "string"} }
func number(name string) Column { return Column{name, name, "number"} }
func moment(name string) Column { return Column{name, name, "timestamp"} }
