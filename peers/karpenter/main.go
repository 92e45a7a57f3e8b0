// Command karpenter answers a request of the benchmark with what Karpenter's own scheduler would do: it packs the pods with
// sigs.k8s.io/karpenter, and launches every NodeClaim as the AWS provider does, at the cheapest offering that is left.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"sigs.k8s.io/karpenter/pkg/operator/logging"
)

func main() {
	os.Clearenv() // Karpenter takes the defaults of its flags from the environment
	log.SetLogger(logging.NopLogger)
	made, err := respond()
	if unstated := (cannotState{}); errors.As(err, &unstated) {
		made, err = &answer{Format: protocolFormat, Version: version(), Status: "cannotState", Reason: unstated.what}, nil
	}
	if err != nil {
		made = &answer{Format: protocolFormat, Version: version(), Status: "failed", Reason: err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(made); err != nil {
		fmt.Fprintln(os.Stderr, "karpenter: writing the answer:", err)
		os.Exit(1)
	}
}

func respond() (*answer, error) {
	asked := &request{}
	if err := json.NewDecoder(os.Stdin).Decode(asked); err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	if asked.Format != protocolFormat {
		return nil, fmt.Errorf("the request is of format `%s`, this is for %s", asked.Format, protocolFormat)
	}
	sold, err := readCatalog(asked.Instance.Catalog.Inline)
	if err != nil {
		return nil, err
	}
	known, err := readCluster(asked)
	if err != nil {
		return nil, err
	}
	return solve(known, sold, time.Duration(asked.BudgetSeconds*float64(time.Second)))
}

// version names the modules that this was built with.
func version() string {
	versions := map[string]string{}
	if build, known := debug.ReadBuildInfo(); known {
		for _, module := range build.Deps {
			versions[module.Path] = module.Version
			if module.Replace != nil {
				versions[module.Path] = module.Replace.Version
			}
		}
	}
	core, provider := versions["sigs.k8s.io/karpenter"], versions["github.com/aws/karpenter-provider-aws"]
	return fmt.Sprintf("karpenter %s with the AWS provider %s", strings.TrimPrefix(core, "v"), strings.TrimPrefix(provider, "v"))
}
