package main

// The scheduler, called as Karpenter's provisioner calls it, and the launch of what it asks for.

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	v1 "github.com/aws/karpenter-provider-aws/pkg/apis/v1"
	"github.com/aws/karpenter-provider-aws/pkg/providers/instance/filter"
	"github.com/awslabs/operatorpkg/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	memory "sigs.k8s.io/controller-runtime/pkg/client/fake"

	karpv1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	"sigs.k8s.io/karpenter/pkg/controllers/provisioning"
	"sigs.k8s.io/karpenter/pkg/controllers/provisioning/scheduling"
	"sigs.k8s.io/karpenter/pkg/controllers/state"
	"sigs.k8s.io/karpenter/pkg/events"
	"sigs.k8s.io/karpenter/pkg/operator/injection"
	"sigs.k8s.io/karpenter/pkg/operator/options"
	reqs "sigs.k8s.io/karpenter/pkg/scheduling"
)

// mostTypes reach the request for an instance (maxInstanceTypes in the provider's pkg/providers/instance/instance.go).
const mostTypes = 60

// cloud answers the two questions that scheduling asks of a cloud; the others are never asked.
type cloud struct {
	cloudprovider.CloudProvider
	byPool map[string][]*cloudprovider.InstanceType
}

func (c *cloud) GetInstanceTypes(_ context.Context, pool *karpv1.NodePool) ([]*cloudprovider.InstanceType, error) {
	return slices.Clone(c.byPool[pool.Name]), nil
}

func (c *cloud) GetSupportedNodeClasses() []status.Object { return []status.Object{&v1.EC2NodeClass{}} }

func (c *cloud) RepairPolicies() []cloudprovider.RepairPolicy { return nil }

func (c *cloud) Name() string { return "aws" }

// defaults is a context with Karpenter's flags as they are when nobody sets them.
func defaults() (context.Context, error) {
	flags := &options.Options{}
	set := &options.FlagSet{FlagSet: flag.NewFlagSet("karpenter", flag.ContinueOnError)}
	flags.AddFlags(set)
	if err := flags.Parse(set); err != nil {
		return nil, err
	}
	return options.ToContext(injection.WithControllerName(context.Background(), "provisioner"), flags), nil
}

// solve plans for `c`; the answer's seconds are those of the scheduler alone.
func solve(c *cluster, sold *catalog, budget time.Duration) (*answer, error) {
	ctx, err := defaults()
	if err != nil {
		return nil, err
	}
	byPool := map[string][]*cloudprovider.InstanceType{}
	pools := map[string]*karpv1.NodePool{}
	for _, pool := range c.nodePools {
		types, err := sold.instanceTypes(c.nodeClasses[pool.Spec.Template.Spec.NodeClassRef.Name])
		if err != nil {
			return nil, err
		}
		byPool[pool.Name], pools[pool.Name] = types, pool
	}
	aws := &cloud{byPool: byPool}
	byNode := func(o client.Object) []string { return []string{o.(*corev1.Pod).Spec.NodeName} }
	nodes := make([]client.Object, 0, len(c.nodes))
	for _, node := range c.nodes {
		node.ResourceVersion = ""
		nodes = append(nodes, node)
	}
	kube := memory.NewClientBuilder().WithIndex(&corev1.Pod{}, "spec.nodeName", byNode).WithObjects(c.stored...).WithObjects(nodes...).Build()
	now := &clock.RealClock{}
	known := state.NewCluster(now, kube, aws)
	for _, claim := range c.nodeClaims {
		known.UpdateNodeClaim(claim)
	}
	for _, node := range c.nodes {
		if err := known.UpdateNode(ctx, node.DeepCopy()); err != nil {
			return nil, fmt.Errorf("Node %s: %w", node.Name, err)
		}
	}
	for _, object := range c.stored {
		if pod, isPod := object.(*corev1.Pod); isPod {
			if err := known.UpdatePod(ctx, pod); err != nil {
				return nil, fmt.Errorf("Pod %s: %w", client.ObjectKeyFromObject(pod), err)
			}
		}
	}
	provisioner := provisioning.NewProvisioner(kube, events.NewRecorder(&record.FakeRecorder{}), aws, known, now, nil, nil)
	pending := slices.DeleteFunc(slices.Clone(c.pending), func(pod *corev1.Pod) bool {
		err := provisioner.Validate(ctx, pod) // Provisioner.GetPendingPods leaves these out
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s is ignored: %v\n", client.ObjectKeyFromObject(pod), err)
		}
		return err != nil
	})
	// As in Provisioner.Schedule.
	settings := options.FromContext(ctx)
	scheduler, err := provisioner.NewScheduler(ctx, pending, known.DeepCopyNodes().Active(), nil,
		scheduling.DisableReservedCapacityFallback,
		scheduling.NumConcurrentReconciles(int((settings.CPURequests+999)/1000)),
		scheduling.MinValuesPolicy(settings.MinValuesPolicy))
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	start := time.Now()
	results, err := scheduler.Solve(limited, pending)
	seconds := time.Since(start).Seconds()
	outOfTime := errors.Is(err, context.DeadlineExceeded)
	if err != nil && !outOfTime {
		return nil, err
	}
	results = results.TruncateInstanceTypes(ctx, scheduling.MaxInstanceTypes)
	made := &answer{Format: protocolFormat, Version: version(), Status: "solved", SolveSeconds: seconds}
	for _, claim := range results.NewNodeClaims {
		node, err := launch(ctx, claim, byPool[claim.NodePoolName], pools[claim.NodePoolName])
		if err != nil {
			fmt.Fprintf(os.Stderr, "a NodeClaim with %d pods is not launched: %v\n", len(claim.Pods), err)
			continue
		}
		made.Nodes = append(made.Nodes, *node)
	}
	slices.SortFunc(made.Nodes, func(a, b boughtNode) int { return strings.Compare(a.sortKey(), b.sortKey()) })
	for _, node := range results.ExistingNodes {
		if len(node.Pods) > 0 {
			made.Existing = append(made.Existing, usedNode{Node: node.Name(), Pods: names(node.Pods)})
		}
	}
	slices.SortFunc(made.Existing, func(a, b usedNode) int { return strings.Compare(a.Node, b.Node) })
	if len(made.Nodes)+len(made.Existing) == 0 && outOfTime {
		made.Status, made.Reason = "nothingFound", "no pod has a place within the budget"
	}
	if first := slices.IndexFunc(pending, func(pod *corev1.Pod) bool { return results.PodErrors[pod] != nil }); first >= 0 {
		fmt.Fprintf(os.Stderr, "%d pods are left, the first of them: %v\n", len(results.PodErrors), results.PodErrors[pending[first]])
	}
	return made, nil
}

func (n boughtNode) sortKey() string {
	return strings.Join([]string{n.NodePool, n.InstanceType, n.Zone, n.CapacityType, strings.Join(n.Pods, " ")}, "\x00")
}

func names(pods []*corev1.Pod) []string {
	made := make([]string, 0, len(pods))
	for _, pod := range pods {
		made = append(made, pod.Namespace+"/"+pod.Name)
	}
	slices.Sort(made)
	return made
}

// launch follows the order of the provider's Create. EC2 fleet's choice is taken to be the cheapest of what is asked for: so it is for
// On-Demand (`lowest-price`), and for Spot it is the best case of `price-capacity-optimized`.
func launch(ctx context.Context, claim *scheduling.NodeClaim, types []*cloudprovider.InstanceType, pool *karpv1.NodePool) (*boughtNode, error) {
	nodeClaim := claim.ToNodeClaim()
	wanted := reqs.NewNodeSelectorRequirementsWithMinValues(nodeClaim.Spec.Requirements...)
	// Shallow copies, as the provider makes them for every launch: the filters overwrite the offerings.
	left := make([]*cloudprovider.InstanceType, 0, len(types))
	for _, of := range types {
		left = append(left, &cloudprovider.InstanceType{Name: of.Name, Requirements: of.Requirements, Offerings: of.Offerings,
			Capacity: of.Capacity, Overhead: of.Overhead})
	}
	for _, step := range []filter.Filter{
		filter.CompatibleLaunchableFilter(wanted, nodeClaim.Spec.Resources.Requests),
		filter.CapacityReservationTypeFilter(wanted),
		filter.CapacityBlockFilter(wanted),
		filter.ReservedOfferingFilter(wanted),
		filter.ExoticInstanceTypeFilter(wanted),
		filter.SpotOfferingFilter(wanted),
	} {
		kept, _ := step.FilterReject(left)
		if len(kept) == 0 {
			return nil, fmt.Errorf("the filter %s leaves no instance type", step.Name())
		}
		left = kept
	}
	left, err := cloudprovider.InstanceTypes(left).Truncate(ctx, wanted, mostTypes)
	if err != nil {
		return nil, err
	}
	var bought *boughtNode
	var rank, price = 0, 0.0
	for _, of := range left {
		for _, offering := range of.Offerings.Compatible(wanted).Launchable() {
			node := &boughtNode{NodePool: claim.NodePoolName, InstanceType: of.Name, Zone: offering.Zone(), CapacityType: offering.CapacityType()}
			better := bought == nil || preference(offering) < rank
			if !better && preference(offering) == rank {
				better = offering.Price < price || (offering.Price == price && node.sortKey() < bought.sortKey())
			}
			if better {
				bought, rank, price = node, preference(offering), offering.Price
			}
		}
	}
	if bought == nil {
		return nil, fmt.Errorf("no offering is left")
	}
	bought.Pods = names(claim.Pods)
	bought.Labels = chosenLabels(nodeClaim, wanted, pool)
	return bought, nil
}

// preference is the place of a capacity type in the provider's order.
func preference(offering *cloudprovider.Offering) int {
	return slices.Index([]string{karpv1.CapacityTypeReserved, karpv1.CapacityTypeSpot, karpv1.CapacityTypeOnDemand}, offering.CapacityType())
}

// chosenLabels are those that the NodePool leaves open and this NodeClaim has: labels of its own, and the tenancy.
func chosenLabels(claim *karpv1.NodeClaim, wanted reqs.Requirements, pool *karpv1.NodePool) map[string]string {
	made := map[string]string{}
	for _, requirement := range pool.Spec.Template.Spec.Requirements {
		if value, given := claim.Labels[requirement.Key]; given && !karpv1.WellKnownLabels.Has(requirement.Key) {
			made[requirement.Key] = value
		}
	}
	if wanted.Has(v1.LabelInstanceTenancy) {
		made[v1.LabelInstanceTenancy] = "dedicated"
		if wanted.Get(v1.LabelInstanceTenancy).Has("default") { // the provider prefers it
			made[v1.LabelInstanceTenancy] = "default"
		}
	}
	return made
}
