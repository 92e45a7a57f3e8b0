package main

// The documents of the protocol between the benchmark and a peer; src/benchmark/protocol.rs has the same with explanations.

import "encoding/json"

const protocolFormat = "supercargo-peer/1"

type request struct {
	Format        string          `json:"format"`
	BudgetSeconds float64         `json:"budgetSeconds"`
	Seed          int64           `json:"seed"`
	Instance      instance        `json:"instance"`
	Pods          []requestedPods `json:"pods"`
}

type instance struct {
	Name             string            `json:"name"`
	Objects          []json.RawMessage `json:"objects"`
	Catalog          catalogSource     `json:"catalog"`
	Commitments      json.RawMessage   `json:"commitments"`
	MaxSpotPoolShare string            `json:"maxSpotPoolShare"`
}

type catalogSource struct {
	Inline map[string]string `json:"inline"`
}

type requestedPods struct {
	Kind      string   `json:"kind"`
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Pods      []string `json:"pods"`
}

type answer struct {
	Format       string       `json:"format"`
	Version      string       `json:"version"`
	Status       string       `json:"status"`
	Reason       string       `json:"reason,omitempty"`
	Nodes        []boughtNode `json:"nodes,omitempty"`
	Existing     []usedNode   `json:"existing,omitempty"`
	SolveSeconds float64      `json:"solveSeconds"`
}

type boughtNode struct {
	NodePool     string            `json:"nodePool"`
	InstanceType string            `json:"instanceType"`
	Zone         string            `json:"zone"`
	CapacityType string            `json:"capacityType"`
	Labels       map[string]string `json:"labels,omitempty"`
	Pods         []string          `json:"pods"`
}

type usedNode struct {
	Node string   `json:"node"`
	Pods []string `json:"pods"`
}

// cannotState is the error for what Karpenter has no notion of.
type cannotState struct{ what string }

func (e cannotState) Error() string { return e.what }
