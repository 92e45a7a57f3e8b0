package main

// The catalog as Karpenter sees it: every type becomes the EC2 API's InstanceTypeInfo, the AWS provider's own resolver turns that into a
// Karpenter instance type, and the catalog's prices become its offerings. Flags have their defaults.

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2 "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	v1 "github.com/aws/karpenter-provider-aws/pkg/apis/v1"
	awsoptions "github.com/aws/karpenter-provider-aws/pkg/operator/options"
	"github.com/aws/karpenter-provider-aws/pkg/providers/instancetype"
	"github.com/aws/karpenter-provider-aws/pkg/providers/instancetype/compatibility"
	corev1 "k8s.io/api/core/v1"

	karpv1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
	coreoptions "sigs.k8s.io/karpenter/pkg/operator/options"
	"sigs.k8s.io/karpenter/pkg/scheduling"
)

type soldType struct {
	info     ec2.InstanceTypeInfo
	onDemand float64 // dollars per hour; 0 where it is not sold so
	zones    []string
	spot     map[string]float64 // by zone, dollars per hour
}

type catalog struct {
	region string
	zones  []string // sorted
	types  []soldType
}

// row is one line of a CSV file, with what is wrong with it.
type row struct {
	file   string
	fields map[string]string
	err    error
}

func (r *row) text(column string) string {
	value, there := r.fields[column]
	if !there && r.err == nil {
		r.err = fmt.Errorf("%s: there is no column `%s`", r.file, column)
	}
	return value
}

func parsed[T any](r *row, column, value string, parse func(string) (T, error)) T {
	var nothing T
	if value == "" {
		return nothing
	}
	made, err := parse(value)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%s: %s: column `%s`: %w", r.file, r.fields["instance_type"], column, err)
	}
	return made
}

func (r *row) int64(column string) int64 {
	return parsed(r, column, r.text(column), func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
}

func (r *row) int32(column string) int32 {
	return parsed(r, column, r.text(column), parseInt32)
}

func (r *row) bool(column string) bool {
	return parsed(r, column, r.text(column), strconv.ParseBool)
}

func (r *row) dollars(column string) float64 {
	return parsed(r, column, r.text(column), func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
}

func parseInt32(s string) (int32, error) {
	made, err := strconv.ParseInt(s, 10, 32)
	return int32(made), err
}

// table reads a CSV file of the catalog; its header comes along.
func table(files map[string]string, name string) ([]row, []string, error) {
	text, there := files[name]
	if !there {
		return nil, nil, fmt.Errorf("the catalog has no file `%s`", name)
	}
	lines, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(lines) == 0 {
		return nil, nil, fmt.Errorf("%s: there is no header", name)
	}
	var rows []row
	for _, line := range lines[1:] {
		fields := map[string]string{}
		for i, column := range lines[0] {
			fields[column] = line[i]
		}
		rows = append(rows, row{file: name, fields: fields})
	}
	return rows, lines[0], nil
}

// readCatalog reads the files of a catalog (docs/catalog.md).
func readCatalog(files map[string]string) (*catalog, error) {
	c := &catalog{}
	for line := range strings.Lines(files["catalog.properties"]) {
		if key, value, found := strings.Cut(line, "="); found && strings.TrimSpace(key) == "region" {
			c.region = strings.TrimSpace(value)
		}
	}
	if c.region == "" {
		return nil, fmt.Errorf("catalog.properties: there is no region")
	}
	facts, _, err := table(files, "instance-types.csv")
	if err != nil {
		return nil, err
	}
	offered, _, err := table(files, "offerings.csv")
	if err != nil {
		return nil, err
	}
	spot, spotHeader, err := table(files, "spot.csv")
	if err != nil {
		return nil, err
	}
	c.zones = slices.Sorted(slices.Values(spotHeader[1:]))
	byName := map[string]*soldType{}
	c.types = make([]soldType, 0, len(facts))
	for i := range facts {
		info := facts[i].info()
		if facts[i].err != nil {
			return nil, facts[i].err
		}
		c.types = append(c.types, soldType{info: info, spot: map[string]float64{}})
		byName[string(info.InstanceType)] = &c.types[i]
	}
	for i := range offered {
		if t, known := byName[offered[i].text("instance_type")]; known {
			t.onDemand, t.zones = offered[i].dollars("usd_per_hour"), strings.Fields(offered[i].text("zones"))
		}
		if offered[i].err != nil {
			return nil, offered[i].err
		}
	}
	for i := range spot {
		if t, known := byName[spot[i].text("instance_type")]; known {
			for _, zone := range c.zones {
				if price := spot[i].dollars(zone); price > 0 {
					t.spot[zone] = price
				}
			}
		}
		if spot[i].err != nil {
			return nil, spot[i].err
		}
	}
	return c, nil
}

// device is one kind of GPU, accelerator or Neuron device: name:manufacturer:count:memory MiB:cores.
type device struct {
	name, manufacturer   string
	count, memory, cores int32
}

func (r *row) devices(column string) []device {
	var made []device
	for part := range strings.SplitSeq(r.text(column), ";") {
		if part == "" {
			continue
		}
		fields := strings.Split(part, ":")
		if len(fields) != 5 {
			if r.err == nil {
				r.err = fmt.Errorf("%s: column `%s`: `%s` is no device", r.file, column, part)
			}
			return nil
		}
		number := func(at int) int32 { return parsed(r, column, fields[at], parseInt32) }
		made = append(made, device{fields[0], fields[1], number(2), number(3), number(4)})
	}
	return made
}

// info is what DescribeInstanceTypes would say.
func (r *row) info() ec2.InstanceTypeInfo {
	architecture := r.text("architecture")
	if architecture == karpv1.ArchitectureAmd64 {
		architecture = string(ec2.ArchitectureTypeX8664)
	}
	supported := func(column string) bool { return r.bool(column) }
	i := ec2.InstanceTypeInfo{
		InstanceType:                  ec2.InstanceType(r.text("instance_type")),
		BareMetal:                     aws.Bool(r.bool("bare_metal")),
		BurstablePerformanceSupported: aws.Bool(r.bool("burstable")),
		CurrentGeneration:             aws.Bool(r.bool("current_generation")),
		Hypervisor:                    ec2.InstanceTypeHypervisor(r.text("hypervisor")),
		ProcessorInfo: &ec2.ProcessorInfo{
			Manufacturer:             aws.String(r.text("cpu_manufacturer")),
			SupportedArchitectures:   []ec2.ArchitectureType{ec2.ArchitectureType(architecture)},
			SustainedClockSpeedInGhz: aws.Float64(float64(r.int64("clock_mhz")) / 1000),
		},
		VCpuInfo:   &ec2.VCpuInfo{DefaultVCpus: aws.Int32(r.int32("vcpus"))},
		MemoryInfo: &ec2.MemoryInfo{SizeInMiB: aws.Int64(r.int64("memory_mib"))},
		NetworkInfo: &ec2.NetworkInfo{
			DefaultNetworkCardIndex:      aws.Int32(r.int32("default_card")),
			Ipv4AddressesPerInterface:    aws.Int32(r.int32("ipv4_per_interface")),
			EncryptionInTransitSupported: aws.Bool(r.bool("encryption_in_transit")),
			EnaSupport:                   ec2.EnaSupportUnsupported,
		},
		NitroEnclavesSupport: ec2.NitroEnclavesSupportUnsupported,
	}
	if supported("ena") {
		i.NetworkInfo.EnaSupport = ec2.EnaSupportSupported
	}
	if supported("enclaves") {
		i.NitroEnclavesSupport = ec2.NitroEnclavesSupportSupported
	}
	if supported("nested_virtualization") {
		i.ProcessorInfo.SupportedFeatures = append(i.ProcessorInfo.SupportedFeatures, ec2.SupportedAdditionalProcessorFeatureNestedVirtualization)
	}
	for card, interfaces := range strings.Fields(r.text("interfaces_per_card")) {
		i.NetworkInfo.NetworkCards = append(i.NetworkInfo.NetworkCards, ec2.NetworkCardInfo{
			NetworkCardIndex:         aws.Int32(int32(card)),
			MaximumNetworkInterfaces: aws.Int32(parsed(r, "interfaces_per_card", interfaces, parseInt32)),
		})
	}
	if int(*i.NetworkInfo.DefaultNetworkCardIndex) >= len(i.NetworkInfo.NetworkCards) && r.err == nil {
		r.err = fmt.Errorf("%s: %s: there is no card %d", r.file, i.InstanceType, *i.NetworkInfo.DefaultNetworkCardIndex)
	}
	if efas := r.int32("efa_interfaces"); efas > 0 {
		i.NetworkInfo.EfaSupported, i.NetworkInfo.EfaInfo = aws.Bool(true), &ec2.EfaInfo{MaximumEfaInterfaces: aws.Int32(efas)}
	}
	if r.bool("on_demand") {
		i.SupportedUsageClasses = append(i.SupportedUsageClasses, ec2.UsageClassTypeOnDemand)
	}
	if r.bool("spot") {
		i.SupportedUsageClasses = append(i.SupportedUsageClasses, ec2.UsageClassTypeSpot)
	}
	if r.text("ebs_bandwidth_mbps") != "" {
		i.EbsInfo = &ec2.EbsInfo{EbsOptimizedSupport: ec2.EbsOptimizedSupportDefault,
			EbsOptimizedInfo: &ec2.EbsOptimizedInfo{MaximumBandwidthInMbps: aws.Int32(r.int32("ebs_bandwidth_mbps"))}}
	}
	if r.text("instance_store_gb") != "" {
		i.InstanceStorageInfo = &ec2.InstanceStorageInfo{TotalSizeInGB: aws.Int64(r.int64("instance_store_gb")),
			NvmeSupport: ec2.EphemeralNvmeSupportUnsupported}
		if r.bool("instance_store_nvme") {
			i.InstanceStorageInfo.NvmeSupport = ec2.EphemeralNvmeSupportRequired
		}
	}
	for _, d := range r.devices("gpus") {
		if i.GpuInfo == nil {
			i.GpuInfo = &ec2.GpuInfo{}
		}
		i.GpuInfo.Gpus = append(i.GpuInfo.Gpus, ec2.GpuDeviceInfo{Name: aws.String(d.name), Manufacturer: aws.String(d.manufacturer),
			Count: aws.Int32(d.count), MemoryInfo: &ec2.GpuDeviceMemoryInfo{SizeInMiB: aws.Int32(d.memory)}})
	}
	for _, d := range r.devices("accelerators") {
		if i.InferenceAcceleratorInfo == nil {
			i.InferenceAcceleratorInfo = &ec2.InferenceAcceleratorInfo{}
		}
		i.InferenceAcceleratorInfo.Accelerators = append(i.InferenceAcceleratorInfo.Accelerators, ec2.InferenceDeviceInfo{
			Name: aws.String(d.name), Manufacturer: aws.String(d.manufacturer), Count: aws.Int32(d.count)})
	}
	for _, d := range r.devices("neuron_devices") {
		if i.NeuronInfo == nil {
			i.NeuronInfo = &ec2.NeuronInfo{}
		}
		i.NeuronInfo.NeuronDevices = append(i.NeuronInfo.NeuronDevices, ec2.NeuronDeviceInfo{Name: aws.String(d.name),
			Count: aws.Int32(d.count), CoreInfo: &ec2.NeuronDeviceCoreInfo{Count: aws.Int32(d.cores)}})
	}
	return i
}

// instanceTypes is what the provider offers under a node class: a fresh set, since the scheduler and the launch filters write to it.
func (c *catalog) instanceTypes(class *v1.EC2NodeClass) ([]*cloudprovider.InstanceType, error) {
	flags := &awsoptions.Options{}
	flags.AddFlags(&coreoptions.FlagSet{FlagSet: flag.NewFlagSet("", flag.ContinueOnError)}) // sets the defaults
	ctx := flags.ToContext(context.Background())
	kubelet, err := v1.ParseKubeletConfig(class.Spec.Kubelet)
	if err != nil {
		return nil, fmt.Errorf("EC2NodeClass %s: spec.kubelet: %w", class.Name, err)
	}
	class = class.DeepCopy()
	if len(class.Status.Subnets) == 0 { // a class that no controller has seen: a subnet in every zone
		for _, zone := range c.zones {
			// The provider tells zones apart by their IDs, which no catalog has.
			class.Status.Subnets = append(class.Status.Subnets, v1.Subnet{ID: "subnet-" + zone, Zone: zone, ZoneID: "id-" + zone})
		}
	}
	zoneIDs := map[string]string{}
	for _, info := range class.ZoneInfo() {
		zoneIDs[info.Zone] = info.ZoneID
	}
	resolver := instancetype.NewDefaultResolver(c.region, nil)
	var made []*cloudprovider.InstanceType
	for i := range c.types {
		t := &c.types[i]
		it, err := resolver.Resolve(ctx, t.info, t.zones, class, kubelet)
		if err != nil {
			return nil, fmt.Errorf("EC2NodeClass %s: %w", class.Name, err)
		}
		it.Offerings = t.offerings(c.zones, zoneIDs, compatibility.IsCompatibleWithNodeClass(t.info, class, nil))
		made = append(made, it)
	}
	return made, nil
}

// offerings lists every zone for both capacity types, as the provider does; those that the catalog does not have, those in zones
// without a subnet, and all of a type that the node class rules out are unavailable.
func (t *soldType) offerings(zones []string, zoneIDs map[string]string, compatible bool) cloudprovider.Offerings {
	var made cloudprovider.Offerings
	add := func(capacityType, zone string, price float64, available bool) {
		id, hasSubnet := zoneIDs[zone]
		labels := map[string]string{karpv1.CapacityTypeLabelKey: capacityType, corev1.LabelTopologyZone: zone}
		if id != "" {
			labels[v1.LabelTopologyZoneID] = id
		}
		requirements := scheduling.NewLabelRequirements(labels)
		for _, key := range []string{cloudprovider.ReservationIDLabel, v1.LabelCapacityReservationType, v1.LabelCapacityReservationInterruptible} {
			requirements.Add(scheduling.NewRequirement(key, corev1.NodeSelectorOpDoesNotExist))
		}
		made = append(made, &cloudprovider.Offering{Requirements: requirements, Price: price, Available: compatible && hasSubnet && available})
	}
	for _, zone := range zones {
		if slices.Contains(t.info.SupportedUsageClasses, ec2.UsageClassTypeOnDemand) {
			add(karpv1.CapacityTypeOnDemand, zone, t.onDemand, t.onDemand > 0 && slices.Contains(t.zones, zone))
		}
		if slices.Contains(t.info.SupportedUsageClasses, ec2.UsageClassTypeSpot) {
			add(karpv1.CapacityTypeSpot, zone, t.spot[zone], t.spot[zone] > 0)
		}
	}
	return made
}
