// Package export_faultline_plugin_config_check checks what a JSON Schema
// cannot say.
package export_faultline_plugin_config_check

import (
	"encoding/json"
	"slices"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

var severities = []string{"info", "low", "warning", "high", "critical"}

// Check complains about a configuration that one cannot work with.
func Check(config string) wit.Result[wit.Unit, []string] {
	var read struct {
		Severity string `json:"severity"`
	}
	if err := json.Unmarshal([]byte(config), &read); err != nil {
		return wit.Err[wit.Unit]([]string{err.Error()})
	}
	if !slices.Contains(severities, read.Severity) {
		return wit.Err[wit.Unit]([]string{"`severity` must be info, low, warning, high or critical"})
	}
	return wit.Ok[wit.Unit, []string](wit.Unit{})
}
