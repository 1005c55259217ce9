// Package export_faultline_plugin_detect is a detector that says when a value
// is far from what it usually is, and when a log source writes many errors.
// The name is what the generated code looks for.
package export_faultline_plugin_detect

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	config "wit_component/faultline_plugin_config"
	. "wit_component/faultline_plugin_detect"
	log "wit_component/faultline_plugin_log"
	types "wit_component/faultline_plugin_types"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// OpenTelemetry's severity numbers from here on are errors.
const errorSeverity = 17

// Whose state it is, and which shape it has: another is refused.
const stateName = "example/hello-go 1"

// What an operator can set.
type settings struct {
	Deviations float64 `json:"deviations"`
	WarmUpRows uint32  `json:"warm-up-rows"`
	Errors     uint32  `json:"errors"`
}

// Float is written as its bits: JSON has no infinity and no NaN.
type float float64

func (f float) MarshalJSON() ([]byte, error) {
	return json.Marshal(math.Float64bits(float64(f)))
}

func (f *float) UnmarshalJSON(text []byte) error {
	var bits uint64
	err := json.Unmarshal(text, &bits)
	*f = float(math.Float64frombits(bits))
	return err
}

// What is usual for one series.
type usual struct {
	Name     string
	Rows     uint32
	Mean     float
	Variance float
	IsFar    bool
}

// What one log source has written since the last tick.
type errors struct {
	Lines   uint32
	AreMany bool
}

// What is remembered, by the ids of series and log sources.
type memory struct {
	State   string
	Series  map[uint32]*usual
	Sources map[uint32]*errors
}

func newMemory() memory {
	return memory{stateName, map[uint32]*usual{}, map[uint32]*errors{}}
}

// The host makes one instance of the component for each detector, so what is
// remembered can stand here. The configuration is read at the first call.
var (
	state  = newMemory()
	loaded *settings
)

func read() *settings {
	if loaded == nil {
		loaded = &settings{}
		// The host has checked it and filled in what was missing.
		if err := json.Unmarshal([]byte(config.Get()), loaded); err != nil {
			panic(err)
		}
	}
	return loaded
}

// Moves mean and variance towards a value; old values fade.
//
// Each product is rounded by itself: Go may otherwise round once for a product
// and a sum, which WebAssembly cannot do, and other processors can.
func (u *usual) learn(value float64) {
	if u.Rows < math.MaxUint32 {
		u.Rows++
	}
	weight := max(1/float64(u.Rows), 0.05)
	distance := value - float64(u.Mean)
	u.Mean += float(weight * distance)
	spread := float64(weight * distance * distance)
	u.Variance = float((1 - weight) * (float64(u.Variance) + spread))
}

func finding(key string, firing bool, subject Subject, at Timestamp) Finding {
	score := 0.0
	if firing {
		score = 1
	}
	return Finding{
		Key:      key,
		Firing:   firing,
		Subject:  subject,
		Row:      wit.None[uint32](),
		Title:    key,
		Severity: "warning",
		Score:    score,
		Started:  at,
		At:       at,
		Value:    wit.None[float64](),
		Expected: wit.None[wit.Tuple2[float64, float64]](),
		Extra:    wit.None[Blob](),
	}
}

// Introduce announces series and log sources.
func Introduce(series []Series, sources []LogSource) wit.Result[wit.Unit, Fault] {
	for _, one := range series {
		state.Series[one.Id] = &usual{Name: one.Name}
	}
	for _, one := range sources {
		state.Sources[one.Id] = &errors{}
	}
	log.Write(log.LevelDebug, fmt.Sprintf("watches %d series and %d log sources",
		len(state.Series), len(state.Sources)))
	return wit.Ok[wit.Unit, Fault](wit.Unit{})
}

// Samples takes rows in order of arrival.
func Samples(batch SampleBatch) wit.Result[[]Finding, Fault] {
	config := read()
	findings := []Finding{}
	for row, series := range batch.Series {
		usual, known := state.Series[series]
		if !known {
			continue
		}
		value, mean := batch.Value[row], float64(usual.Mean)
		band := config.Deviations * math.Sqrt(float64(usual.Variance))
		distance := math.Abs(value - mean)
		// What is far stays so until it is well within the band again.
		isFar := usual.Rows >= config.WarmUpRows && distance > band
		if usual.IsFar {
			isFar = distance > band/2
		}
		if isFar != usual.IsFar {
			seen := finding("far-from-usual", isFar, MakeSubjectSeries(series), batch.Time[row])
			seen.Row = wit.Some(uint32(row))
			seen.Value = wit.Some(value)
			if isFar {
				seen.Title = fmt.Sprintf("%s is %.2f, and usually %.2f ± %.2f", usual.Name, value, mean, band)
				seen.Score = 1 - band/distance
				seen.Expected = wit.Some(wit.Tuple2[float64, float64]{F0: mean - band, F1: mean + band})
			}
			findings = append(findings, seen)
		}
		usual.IsFar = isFar
		usual.learn(value)
	}
	return wit.Ok[[]Finding, Fault](findings)
}

// Logs takes lines in order of arrival.
func Logs(batch LogLines) wit.Result[[]Finding, Fault] {
	for row, source := range batch.Source {
		if batch.Severity[row] < errorSeverity {
			continue
		}
		if errors, known := state.Sources[source]; known && errors.Lines < math.MaxUint32 {
			errors.Lines++
		}
	}
	return wit.Ok[[]Finding, Fault](nil)
}

// Tick says that event time has passed.
func Tick(watermark Timestamp) wit.Result[[]Finding, Fault] {
	config := read()
	findings := []Finding{}
	// A map comes in another order each time.
	for _, id := range slices.Sorted(maps.Keys(state.Sources)) {
		errors := state.Sources[id]
		areMany := errors.Lines >= config.Errors
		if areMany != errors.AreMany {
			seen := finding("many-errors", areMany, MakeSubjectLogSource(id), watermark)
			if areMany {
				seen.Title = fmt.Sprintf("%d errors since the last tick", errors.Lines)
			}
			findings = append(findings, seen)
		}
		errors.Lines, errors.AreMany = 0, areMany
	}
	return wit.Ok[[]Finding, Fault](findings)
}

// Save gives the state.
func Save() wit.Result[[]byte, Fault] {
	saved, err := json.Marshal(state)
	if err != nil {
		return wit.Err[[]byte](refused(err.Error()))
	}
	return wit.Ok[[]byte, Fault](saved)
}

// Load replaces the state by a saved one.
func Load(saved []byte) wit.Result[wit.Unit, Fault] {
	read := newMemory()
	if err := json.Unmarshal(saved, &read); err != nil || read.State != stateName {
		return wit.Err[wit.Unit](refused("this is not a saved state"))
	}
	state = read
	return wit.Ok[wit.Unit, Fault](wit.Unit{})
}

func refused(why string) Fault {
	return Fault{Code: "state", Message: why, Retry: types.MakeRetryNever()}
}
