// Package export_faultline_plugin_decode is a connector for a small webhook:
// alerts and readings, in JSON. The name is what the generated code looks for.
package export_faultline_plugin_decode

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	config "wit_component/faultline_plugin_config"
	log "wit_component/faultline_plugin_log"
	. "wit_component/faultline_plugin_signals"
	types "wit_component/faultline_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// The most rejected items that are listed with their reasons.
const listedMax = 100

// The latest time that a message can name, in milliseconds: what follows as
// microseconds is below 2^53.
const millisecondsMax = 9_007_199_254_740

// A JSON object, whose numbers are floating point numbers.
type object = map[string]any

// What an operator can set.
type settings struct {
	Severity string `json:"severity"`
}

// Decode answers each envelope by itself.
func Decode(envelopes []Envelope) []wit.Result[Decoded, Fault] {
	var read settings
	// The host has checked it and filled in what was missing.
	if err := json.Unmarshal([]byte(config.Get()), &read); err != nil {
		panic(err)
	}
	answers := make([]wit.Result[Decoded, Fault], len(envelopes))
	for i, envelope := range envelopes {
		if decoded, err := decode(envelope, read); err != nil {
			answers[i] = wit.Err[Decoded](malformed(err.Error()))
		} else {
			answers[i] = wit.Ok[Decoded, Fault](decoded)
		}
	}
	return answers
}

func malformed(message string) Fault {
	return Fault{Code: "malformed", Message: message, Retry: types.MakeRetryNever()}
}

func decode(envelope Envelope, config settings) (decoded Decoded, err error) {
	body, err := parse(envelope.Body)
	if err != nil {
		return decoded, err
	}
	alerts, err := list(body, "alerts")
	if err != nil {
		return decoded, err
	}
	items, err := list(body, "readings")
	if err != nil {
		return decoded, err
	}
	rejected := []Fault{}
	for i, item := range alerts {
		alert, err := alertOf(item, config, envelope.Received)
		if err != nil {
			rejected = append(rejected, malformed(fmt.Sprintf("alerts[%d]: %v", i, err)))
			continue
		}
		decoded.Signals = append(decoded.Signals, MakeSignalAlert(alert))
	}
	readings := readings{ids: map[key]uint32{}, values: map[row]float64{}}
	for i, item := range items {
		if err := readings.add(item, envelope.Received); err != nil {
			rejected = append(rejected, malformed(fmt.Sprintf("readings[%d]: %v", i, err)))
		}
	}
	if len(rejected) > 0 {
		line := fmt.Sprintf("rejected %d of %d items", len(rejected), len(alerts)+len(items))
		log.Write(log.LevelWarn, line)
	}
	if len(rejected) > 0 && len(decoded.Signals) == 0 && len(readings.values) == 0 {
		message := rejected[0].Message
		if others := len(rejected) - 1; others > 0 {
			message += fmt.Sprintf(" (%d more rejected)", others)
		}
		return decoded, errors.New(message)
	}
	decoded.Series = readings.series
	decoded.Samples = readings.samples()
	decoded.Logs = wit.None[LogLines]()
	listed := min(len(rejected), listedMax)
	decoded.Rejected = rejected[:listed]
	decoded.RejectedUnlisted = uint32(len(rejected) - listed)
	return decoded, nil
}

func parse(body []byte) (object, error) {
	var read any
	// Go would read other bytes as replacement characters.
	if utf8.Valid(body) && json.Unmarshal(body, &read) == nil {
		if read, is := read.(object); is {
			return read, nil
		}
	}
	return nil, errors.New("the body is not a JSON object")
}

// A list that may be missing.
func list(body object, key string) ([]any, error) {
	found, there := body[key]
	if !there {
		return nil, nil
	}
	if found, is := found.([]any); is {
		return found, nil
	}
	return nil, fmt.Errorf("`%s` is not a list", key)
}

// Fields reads what belongs to an item. It remembers the first thing that was
// wrong, so that one can ask at the end.
type fields struct {
	item object
	err  error
}

func fieldsOf(item any) fields {
	if item, is := item.(object); is {
		return fields{item: item}
	}
	return fields{err: errors.New("is not an object")}
}

func (f *fields) refuse(format string, key string) {
	if f.err == nil {
		f.err = fmt.Errorf(format, key)
	}
}

// A text that may be missing; empty then.
func (f *fields) text(key string) string {
	found, there := f.item[key]
	text, is := found.(string)
	if there && (!is || text == "") {
		f.refuse("`%s` is not a text", key)
	}
	return text
}

func (f *fields) required(key string) string {
	text := f.text(key)
	if text == "" {
		f.refuse("`%s` is missing", key)
	}
	return text
}

// A time that may be missing: whole milliseconds since the Unix epoch.
func (f *fields) time(key string, otherwise Timestamp) Timestamp {
	found, there := f.item[key]
	if !there {
		return otherwise
	}
	time, is := found.(float64)
	if !is || math.Floor(time) != time || time < 0 || time > millisecondsMax {
		f.refuse("`%s` is not a time in milliseconds", key)
		return otherwise
	}
	return Timestamp(time) * 1000
}

func alertOf(item any, config settings, received Timestamp) (Alert, error) {
	from := fieldsOf(item)
	name, host := from.required("name"), from.required("host")
	firing := true
	if found, there := from.item["firing"]; there {
		var is bool
		if firing, is = found.(bool); !is {
			from.refuse("`%s` is not true or false", "firing")
		}
	}
	severity := cmp.Or(from.text("severity"), config.Severity)
	since := from.time("since", received)
	note := from.text("note")
	names := []Attribute{{Key: "name", Value: name}, {Key: "host", Value: host}}
	alert := Alert{
		Identity: names,
		Firing:   firing,
		Title:    name + " on " + host,
		Severity: severity,
		Started:  since,
		Ended:    wit.None[Timestamp](),
		Entities: []Entity{{Kind: "host", Name: host}},
		Labels:   names,
		Link:     wit.None[string](),
	}
	if !firing {
		alert.Ended = wit.Some(received)
	}
	if note != "" {
		alert.Annotations = []Attribute{{Key: "note", Value: note}}
	}
	return alert, from.err
}

// What tells one series from another.
type key struct{ name, unit, host string }

// Where a value stands: of two in the same place the last one counts.
type row struct {
	at Timestamp
	id uint32
}

type readings struct {
	ids    map[key]uint32
	series []Series
	values map[row]float64
}

func (r *readings) add(item any, received Timestamp) error {
	from := fieldsOf(item)
	name, host, unit := from.required("name"), from.text("host"), from.text("unit")
	at := from.time("time", received)
	value, is := from.item["value"].(float64)
	if !is {
		from.refuse("`%s` is not a number", "value")
	}
	if from.err != nil {
		return from.err
	}
	key := key{name, unit, host}
	id, known := r.ids[key]
	if !known {
		id = uint32(len(r.series))
		r.ids[key] = id
		series := Series{Id: id, Name: name, Unit: unit, Entity: wit.None[Entity]()}
		if host != "" {
			series.Entity = wit.Some(Entity{Kind: "host", Name: host})
		}
		r.series = append(r.series, series)
	}
	r.values[row{at, id}] = value
	return nil
}

// Rows in order of time.
func (r *readings) samples() wit.Option[Samples] {
	if len(r.values) == 0 {
		return wit.None[Samples]()
	}
	rows := make([]row, 0, len(r.values))
	for row := range r.values {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id))
	})
	var columns Samples
	for _, row := range rows {
		columns.Series = append(columns.Series, row.id)
		columns.Time = append(columns.Time, row.at)
		columns.Value = append(columns.Value, r.values[row])
	}
	return wit.Some(columns)
}
