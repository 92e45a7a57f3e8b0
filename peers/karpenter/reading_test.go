package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/aws/karpenter-provider-aws/pkg/apis/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// embedded is the catalog of the repository with the types named, or all.
func embedded(t *testing.T, types ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{"catalog.properties", "instance-types.csv", "offerings.csv", "spot.csv", "ebs.csv"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "pricing-cache", "us-east-1", name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(text), "\n")
		if strings.HasSuffix(name, ".csv") && len(types) > 0 && name != "ebs.csv" {
			kept := slices.DeleteFunc(lines[1:], func(line string) bool {
				of, _, _ := strings.Cut(line, ",")
				return !slices.Contains(types, of)
			})
			lines = append(lines[:1], kept...)
		}
		files[name] = strings.Join(lines, "")
	}
	return files
}

const pool = `{"apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "default"},
	"spec": {"template": {"spec": {"nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"},
	"requirements": [{"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
		{"key": "team", "operator": "In", "values": ["a", "b"]}]}}}}`

const web = `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 2,
	"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"nodeSelector": {"team": "b"},
	"containers": [{"name": "c", "resources": {"requests": {"cpu": "3", "memory": "2Gi"}}}]}}}}`

// ask is a request for the two pods of `web`, with these objects besides.
func ask(objects ...string) *request {
	made := &request{Format: protocolFormat, BudgetSeconds: 10, Seed: 1,
		Pods: []requestedPods{{Kind: "Deployment", Namespace: "default", Name: "web", Pods: []string{"web-0", "web-1"}}}}
	for _, object := range append([]string{pool, web}, objects...) {
		made.Instance.Objects = append(made.Instance.Objects, json.RawMessage(object))
	}
	return made
}

func TestCatalogIsReadAsTheProviderSeesIt(t *testing.T) {
	sold, err := readCatalog(embedded(t))
	if err != nil {
		t.Fatal(err)
	}
	class := &v1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	class.Spec.AMISelectorTerms = []v1.AMISelectorTerm{{Alias: "al2023@latest"}}
	types, err := sold.instanceTypes(class)
	if err != nil {
		t.Fatal(err)
	}
	if len(types) != len(sold.types) || len(types) < 1000 {
		t.Fatalf("%d types of %d", len(types), len(sold.types))
	}
	for _, of := range types {
		room := of.Allocatable()
		switch of.Name {
		case "m5.xlarge": // as docs/allocatable.md has it
			if room.Cpu().MilliValue() != 3920 || room.Memory().Value() != 14162<<20 || room.Pods().Value() != 58 {
				t.Errorf("%s: %v", of.Name, room)
			}
		case "p4d.24xlarge":
			if gpus := room[v1.ResourceNVIDIAGPU]; gpus.Value() != 8 {
				t.Errorf("%s: %v", of.Name, room)
			}
		case "a1.large":
			if len(of.Offerings.Available()) != 0 {
				t.Errorf("%s cannot run Amazon Linux 2023", of.Name)
			}
		}
	}
}

func TestSubnetsLimitTheZones(t *testing.T) {
	sold, err := readCatalog(embedded(t, "m5.xlarge"))
	if err != nil {
		t.Fatal(err)
	}
	class := &v1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	class.Spec.AMISelectorTerms = []v1.AMISelectorTerm{{Alias: "al2023@latest"}}
	class.Status.Subnets = []v1.Subnet{{ID: "subnet-1", Zone: "us-east-1b", ZoneID: "use1-az1"}}
	types, err := sold.instanceTypes(class)
	if err != nil {
		t.Fatal(err)
	}
	for _, offering := range types[0].Offerings.Available() {
		if offering.Zone() != "us-east-1b" || offering.Requirements.Get(v1.LabelTopologyZoneID).Any() != "use1-az1" {
			t.Errorf("offered in %s", offering.Zone())
		}
	}
}

func TestFaultsOfACatalogAreNamed(t *testing.T) {
	files := embedded(t, "m5.xlarge")
	files["instance-types.csv"] = strings.Replace(files["instance-types.csv"], ",16384,", ",much,", 1)
	if _, err := readCatalog(files); err == nil || !strings.Contains(err.Error(), "m5.xlarge: column `memory_mib`") {
		t.Errorf("%v", err)
	}
	delete(files, "spot.csv")
	if _, err := readCatalog(files); err == nil {
		t.Error("a catalog without Spot prices is none")
	}
}

func TestPodsComeFromTheirWorkloadOrAreThere(t *testing.T) {
	asked := ask(
		`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "default", "labels": {"app": "old"}},
			"spec": {"nodeName": "gone", "containers": []}}`,
		`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {}}, "spec": {}}`,
		`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent", "namespace": "kube-system"}, "spec": {"nodeName": "n", "containers": []}}`)
	read, err := readCluster(asked)
	if err != nil {
		t.Fatal(err)
	}
	if len(read.pending) != 2 || read.pending[0].Labels["app"] != "web" || read.pending[1].Labels["app"] != "old" {
		t.Fatalf("%v", read.pending)
	}
	if read.pending[1].Spec.NodeName != "" || read.pending[0].UID == read.pending[1].UID {
		t.Error("a pod to place is on no node, and every pod has a UID")
	}
	bound := slices.ContainsFunc(read.stored, func(o client.Object) bool { pod, is := o.(*corev1.Pod); return is && pod.Spec.NodeName == "n" })
	if !bound {
		t.Error("pods of nodes that stay are kept")
	}
}

func TestNodesOfClaimsThatAreDeletedAreNoPlaces(t *testing.T) {
	read, err := readCluster(ask(
		`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"providerID": "aws:///us-east-1a/i-1"}}`,
		`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "m"}, "spec": {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]}}`,
		`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "stays"}, "spec": {}}`,
		`{"apiVersion": "karpenter.sh/v1", "kind": "NodeClaim", "metadata": {"name": "c", "deletionTimestamp": "2026-11-24T00:00:00Z"},
			"status": {"providerID": "aws:///us-east-1a/i-1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(read.nodes) != 1 || read.nodes[0].Name != "stays" {
		t.Errorf("%v", read.nodes)
	}
}

func TestUIDsFollowTheSeed(t *testing.T) {
	uids := func(seed int64) string {
		asked := ask()
		asked.Seed = seed
		read, err := readCluster(asked)
		if err != nil {
			t.Fatal(err)
		}
		return string(read.pending[0].UID)
	}
	if uids(1) != uids(1) || uids(1) == uids(2) {
		t.Error("a seed gives the same UIDs every time, and another one others")
	}
}

func TestStatefulSetsBringTheirClaims(t *testing.T) {
	asked := ask(`{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db", "namespace": "data"}, "spec": {
		"template": {"spec": {"containers": []}}, "volumeClaimTemplates": [{"metadata": {"name": "disk"}, "spec": {"storageClassName": "gp3"}}]}}`)
	asked.Pods = append(asked.Pods, requestedPods{Kind: "StatefulSet", Namespace: "data", Name: "db", Pods: []string{"db-0"}})
	read, err := readCluster(asked)
	if err != nil {
		t.Fatal(err)
	}
	if got := read.pending[2].Spec.Volumes[0].PersistentVolumeClaim.ClaimName; got != "disk-db-0" {
		t.Errorf("the pod has the claim %s", got)
	}
	there := slices.ContainsFunc(read.stored, func(o client.Object) bool { return o.GetNamespace() == "data" && o.GetName() == "disk-db-0" })
	if !there {
		t.Error("the claim is stored")
	}
}

func TestClaimsHaveWhatAClusterWouldGiveThem(t *testing.T) {
	read, err := readCluster(ask(
		`{"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp3",
			"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}}`,
		`{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "open"}, "spec": {}}`,
		`{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "bound"}, "spec": {"volumeName": "v", "storageClassName": ""}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range read.stored {
		claim, is := object.(*corev1.PersistentVolumeClaim)
		switch {
		case is && claim.Name == "open" && *claim.Spec.StorageClassName != "gp3":
			t.Errorf("%+v", claim.Spec)
		case is && claim.Name == "bound" && (claim.Annotations["pv.kubernetes.io/bind-completed"] == "" || *claim.Spec.StorageClassName != ""):
			t.Errorf("%+v", claim)
		}
	}
}

func TestWhatKarpenterDoesNotKnowIsNamed(t *testing.T) {
	for what, change := range map[string]func(*request){
		"Reserved Instances": func(r *request) { r.Instance.Commitments = json.RawMessage(`{}`) },
		"a Spot pool":        func(r *request) { r.Instance.MaxSpotPoolShare = "25%" },
		"supercargo.io/atomic-group of Deployment web": func(r *request) {
			text := strings.Replace(web, `{"labels"`, `{"annotations": {"supercargo.io/atomic-group": "g"}, "labels"`, 1)
			r.Instance.Objects[1] = json.RawMessage(text)
		},
		"NodeOverlay cheap": func(r *request) {
			r.Instance.Objects = append(r.Instance.Objects, json.RawMessage(`{"apiVersion": "karpenter.sh/v1alpha1", "kind": "NodeOverlay", "metadata": {"name": "cheap"}}`))
		},
		"without NodePools": func(r *request) { r.Instance.Objects = r.Instance.Objects[1:] },
	} {
		asked := ask()
		change(asked)
		_, err := readCluster(asked)
		if unstated := (cannotState{}); !errors.As(err, &unstated) || !strings.Contains(unstated.what, what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestTheSchedulersPlanIsLaunched(t *testing.T) {
	read, err := readCluster(ask())
	if err != nil {
		t.Fatal(err)
	}
	sold, err := readCatalog(embedded(t, "m5.xlarge", "m5.2xlarge", "c5.12xlarge"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := solve(read, sold, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if made.Status != "solved" || len(made.Nodes) != 1 {
		t.Fatalf("%+v", made)
	}
	node := made.Nodes[0]
	if node.InstanceType != "m5.2xlarge" || node.CapacityType != "on-demand" || node.Labels["team"] != "b" {
		t.Errorf("%+v", node)
	}
	if !slices.Equal(node.Pods, []string{"default/web-0", "default/web-1"}) {
		t.Errorf("%v", node.Pods)
	}
}

func TestNodesThatExistAreUsedFirst(t *testing.T) {
	read, err := readCluster(ask(`{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": {"team": "b", "kubernetes.io/hostname": "n"}},
		"spec": {"providerID": "aws:///us-east-1a/i-1"},
		"status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"}, "capacity": {"cpu": "4", "memory": "8Gi", "pods": "10"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	sold, err := readCatalog(embedded(t, "m5.xlarge"))
	if err != nil {
		t.Fatal(err)
	}
	made, err := solve(read, sold, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if len(made.Existing) != 1 || made.Existing[0].Node != "n" || len(made.Existing[0].Pods) != 1 || len(made.Nodes) != 1 {
		t.Errorf("%+v", made)
	}
}
