// Prints, as JSON, the tables of the Karpenter provider for AWS that no other registry has: On-Demand prices of one region and
// of those of AWS GovCloud, branch interfaces and baseline network bandwidth by instance type.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/karpenter-provider-aws/pkg/providers/instancetype"
	"github.com/aws/karpenter-provider-aws/pkg/providers/pricing"
)

type table struct {
	// USD per hour.
	OnDemand map[string]float64 `json:"on_demand"`
	// USD per hour, by region.
	OnDemandUSGov map[string]map[string]float64 `json:"on_demand_us_gov"`
	// Branch interfaces; 0 for a type that cannot trunk. Types that are unknown to the VPC limits are missing.
	BranchInterfaces map[string]int `json:"branch_interfaces"`
	// Mbit/s.
	BandwidthMbps map[string]int64 `json:"bandwidth_mbps"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: karpenter-tables REGION")
		os.Exit(2)
	}
	out := table{
		map[string]float64{}, map[string]map[string]float64{}, map[string]int{}, instancetype.InstanceTypeBandwidthMegabits,
	}
	for name, price := range pricing.InitialOnDemandPricesAWS[os.Args[1]] {
		out.OnDemand[string(name)] = price
	}
	for region, prices := range pricing.InitialOnDemandPricesUSGov {
		out.OnDemandUSGov[region] = map[string]float64{}
		for name, price := range prices {
			out.OnDemandUSGov[region][string(name)] = price
		}
	}
	for name, limits := range instancetype.Limits {
		out.BranchInterfaces[name] = 0
		if limits.IsTrunkingCompatible {
			out.BranchInterfaces[name] = limits.BranchInterface
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
