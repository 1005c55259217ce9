// Package export_faultline_plugin_config_check checks what a JSON Schema
// cannot say.
package export_faultline_plugin_config_check

import (
	"encoding/json"

	wit "go.bytecodealliance.org/pkg/wit/types"
)

// Check complains about a configuration that one cannot work with.
func Check(config string) wit.Result[wit.Unit, []string] {
	var read struct {
		Deviations float64 `json:"deviations"`
	}
	if err := json.Unmarshal([]byte(config), &read); err != nil {
		return wit.Err[wit.Unit]([]string{err.Error()})
	}
	if !(read.Deviations > 0) {
		return wit.Err[wit.Unit]([]string{"`deviations` must be above 0"})
	}
	return wit.Ok[wit.Unit, []string](wit.Unit{})
}
