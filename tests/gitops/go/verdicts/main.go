// Command verdicts tells what GitOps tools make of objects. It reads what it is
// asked from standard input, and writes a verdict for each object, as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	// The script of each kind, as in argocd-cm.
	Scripts map[string]string `json:"scripts"`
	// As in a Kustomization of Flux.
	HealthCheckExprs []kustomize.CustomHealthCheck `json:"healthCheckExprs"`
	Objects          []*unstructured.Unstructured  `json:"objects"`
}

type verdict struct {
	Kstatus status.Status `json:"kstatus"`
	Flux    status.Status `json:"flux"`
	Argo    health        `json:"argo"`
}

func main() {
	if err := answer(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "verdicts:", err)
		os.Exit(1)
	}
}

func answer(in io.Reader, out io.Writer) error {
	var asked question
	if err := json.NewDecoder(in).Decode(&asked); err != nil {
		return err
	}
	verdicts := make([]verdict, len(asked.Objects))
	for i, object := range asked.Objects {
		var err error
		if verdicts[i], err = asked.judge(object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return json.NewEncoder(out).Encode(verdicts)
}

func (asked *question) judge(object *unstructured.Unstructured) (verdict, error) {
	computed, err := status.Compute(object)
	if err != nil {
		return verdict{}, err
	}
	flux, err := asked.askFlux(object, computed.Status)
	if err != nil {
		return verdict{}, err
	}
	argo, err := askArgo(object, asked.Scripts[object.GetKind()])
	return verdict{computed.Status, flux, argo}, err
}

// askFlux does as kustomize-controller: kinds without expressions are kstatus' own.
func (asked *question) askFlux(
	object *unstructured.Unstructured, computed status.Status,
) (status.Status, error) {
	for _, check := range asked.HealthCheckExprs {
		if check.APIVersion != object.GetAPIVersion() || check.Kind != object.GetKind() {
			continue
		}
		evaluator, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
		if err != nil {
			return "", err
		}
		result, err := evaluator.Evaluate(context.Background(), object)
		if err != nil {
			return "", err
		}
		return result.Status, nil
	}
	return computed, nil
}
