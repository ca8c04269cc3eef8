package main

import (
	"context"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// Those that Argo CD takes from a script.
var known = map[string]bool{
	"Healthy": true, "Progressing": true, "Suspended": true, "Degraded": true,
}

// askArgo runs a script as Argo CD runs those of argocd-cm: with the basic and the
// table library alone, for a second at most.
func askArgo(object *unstructured.Unstructured, script string) (health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	state.SetGlobal("obj", translate(state, object.Object))
	if err := state.DoString(script); err != nil {
		return health{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return health{}, fmt.Errorf("the script returns no table, but %v", state.Get(-1))
	}
	said := health{read(table, "status"), read(table, "message")}
	if !known[said.Status] {
		return said, fmt.Errorf("Argo CD knows no health %q", said.Status)
	}
	return said, nil
}

func read(table *lua.LTable, field string) string {
	return lua.LVAsString(table.RawGetString(field))
}

// translate makes Lua's values of JSON's.
func translate(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		list := state.NewTable()
		for _, item := range value {
			list.Append(translate(state, item))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for name, item := range value {
			table.RawSetString(name, translate(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
