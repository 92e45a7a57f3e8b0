package main

// The objects of a request as Kubernetes types, and the pods to place. What the scheduler would look up in a cluster goes into `stored`.

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"

	v1 "github.com/aws/karpenter-provider-aws/pkg/apis/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	karpv1 "sigs.k8s.io/karpenter/pkg/apis/v1"
)

// ownAnnotations begin so; Karpenter ignores them, and a plan without what they ask for would be refused.
const ownAnnotations = "supercargo.io/"

type cluster struct {
	stored      []client.Object
	nodePools   []*karpv1.NodePool
	nodeClasses map[string]*v1.EC2NodeClass
	nodes       []*corev1.Node
	nodeClaims  []*karpv1.NodeClaim
	pending     []*corev1.Pod
}

// objects are those of a request, by what becomes of them.
type objects struct {
	cluster
	templates map[workload]template
	pods      map[types.NamespacedName]*corev1.Pod
	claims    map[types.NamespacedName]bool
	// Nodes of NodeClaims that are being deleted, by name or provider ID.
	left map[string]bool
	// Name of the default StorageClass, which the API server fills in.
	defaultClass *string
}

type workload struct{ kind, namespace, name string }

type template struct {
	pod    corev1.PodTemplateSpec
	claims []corev1.PersistentVolumeClaim // of a StatefulSet
}

// readCluster reads the objects of a request; UIDs of pods are drawn with its seed, since Karpenter's queue breaks ties by them.
func readCluster(asked *request) (*cluster, error) {
	if len(asked.Instance.Commitments) > 0 && string(asked.Instance.Commitments) != "null" {
		return nil, cannotState{"Reserved Instances and Savings Plans"}
	}
	if asked.Instance.MaxSpotPoolShare != "" {
		return nil, cannotState{"a limit on the share of a Spot pool"}
	}
	read := &objects{cluster: cluster{nodeClasses: map[string]*v1.EC2NodeClass{}}, templates: map[workload]template{},
		pods: map[types.NamespacedName]*corev1.Pod{}, claims: map[types.NamespacedName]bool{}, left: map[string]bool{}}
	for i, raw := range asked.Instance.Objects {
		if err := read.add(raw); err != nil {
			return nil, fmt.Errorf("objects[%d]: %w", i, err)
		}
	}
	if len(read.nodePools) == 0 {
		return nil, cannotState{"a cluster without NodePools"}
	}
	for _, pool := range read.nodePools {
		if class := pool.Spec.Template.Spec.NodeClassRef.Name; read.nodeClasses[class] == nil { // supercargo assumes the same
			assumed := &v1.EC2NodeClass{ObjectMeta: metav1.ObjectMeta{Name: class}}
			assumed.Spec.AMISelectorTerms = []v1.AMISelectorTerm{{Alias: "al2023@latest"}}
			read.nodeClasses[class] = assumed
		}
	}
	if err := read.place(asked); err != nil {
		return nil, err
	}
	return &read.cluster, nil
}

// decoded is `raw` as a T.
func decoded[T any](raw json.RawMessage) (*T, error) {
	made := new(T)
	return made, json.Unmarshal(raw, made)
}

// keep decodes an object that the scheduler looks up by itself.
func keep[T any, P interface {
	*T
	client.Object
}](o *objects, raw json.RawMessage) (P, error) {
	made, err := decoded[T](raw)
	if err != nil {
		return nil, err
	}
	kept := P(made)
	kept.SetResourceVersion("") // the store gives its own
	if kept.GetDeletionTimestamp() != nil && len(kept.GetFinalizers()) == 0 {
		kept.SetFinalizers([]string{"supercargo.io/benchmark"}) // without one the store takes nothing that is being deleted
	}
	o.stored = append(o.stored, kept)
	return kept, nil
}

func (o *objects) add(raw json.RawMessage) error {
	head, err := decoded[struct {
		metav1.TypeMeta
		Metadata metav1.ObjectMeta `json:"metadata"`
		Items    []json.RawMessage `json:"items"`
	}](raw)
	if err != nil {
		return err
	}
	name := strings.TrimPrefix(head.Metadata.Namespace+"/"+head.Metadata.Name, "/")
	if err := statable(head.Kind+" "+name, head.Metadata.Annotations); err != nil {
		return err
	}
	group, _, _ := strings.Cut(head.APIVersion, "/")
	switch kind := head.Kind; {
	case kind == "List":
		for _, item := range head.Items {
			if err = o.add(item); err != nil {
				return err
			}
		}
	case kind == "NodeOverlay":
		return cannotState{"NodeOverlay " + name + " (the scheduler applies them only behind an alpha gate)"}
	case kind == "Deployment" && group == "apps":
		err = addTemplate(o, raw, kind, func(w *appsv1.Deployment) (metav1.ObjectMeta, template) {
			return w.ObjectMeta, template{pod: w.Spec.Template}
		})
	case kind == "ReplicaSet" && group == "apps":
		err = addTemplate(o, raw, kind, func(w *appsv1.ReplicaSet) (metav1.ObjectMeta, template) {
			return w.ObjectMeta, template{pod: w.Spec.Template}
		})
	case kind == "Job" && group == "batch":
		err = addTemplate(o, raw, kind, func(w *batchv1.Job) (metav1.ObjectMeta, template) {
			return w.ObjectMeta, template{pod: w.Spec.Template}
		})
	case kind == "StatefulSet" && group == "apps":
		err = addTemplate(o, raw, kind, func(w *appsv1.StatefulSet) (metav1.ObjectMeta, template) {
			return w.ObjectMeta, template{pod: w.Spec.Template, claims: w.Spec.VolumeClaimTemplates}
		})
	case kind == "Pod":
		var pod *corev1.Pod
		if pod, err = decoded[corev1.Pod](raw); err == nil {
			pod.Namespace = namespaceOr(pod.Namespace)
			o.pods[client.ObjectKeyFromObject(pod)] = pod
			err = specStatable("Pod "+name, &pod.Spec)
		}
	case kind == "DaemonSet" && group == "apps":
		var set *appsv1.DaemonSet
		if set, err = keep[appsv1.DaemonSet](o, raw); err == nil {
			set.Namespace = namespaceOr(set.Namespace)
			err = statable("DaemonSet "+name, set.Spec.Template.Annotations)
		}
	case kind == "NodePool" && group == "karpenter.sh":
		var pool *karpv1.NodePool
		if pool, err = keep[karpv1.NodePool](o, raw); err == nil {
			if pool.Spec.Template.Spec.NodeClassRef == nil {
				return fmt.Errorf("NodePool %s: spec.template.spec.nodeClassRef is missing", name)
			}
			pool.StatusConditions().SetTrue(karpv1.ConditionTypeValidationSucceeded)
			pool.StatusConditions().SetTrue(karpv1.ConditionTypeNodeClassReady)
			o.nodePools = append(o.nodePools, pool)
		}
	case kind == "EC2NodeClass":
		var class *v1.EC2NodeClass
		if class, err = decoded[v1.EC2NodeClass](raw); err == nil {
			if len(class.Status.CapacityReservations) > 0 {
				return cannotState{"capacity reservations of EC2NodeClass " + name + " (how many of their instances are free is in no field)"}
			}
			o.nodeClasses[class.Name] = class
		}
	case kind == "NodeClaim":
		var claim *karpv1.NodeClaim
		if claim, err = decoded[karpv1.NodeClaim](raw); err == nil && claim.DeletionTimestamp.IsZero() {
			o.nodeClaims = append(o.nodeClaims, claim)
		} else if err == nil {
			o.left[claim.Status.NodeName], o.left[claim.Status.ProviderID] = true, true
		}
	case kind == "Node":
		var node *corev1.Node
		if node, err = decoded[corev1.Node](raw); err == nil && !leaving(node) {
			o.nodes = append(o.nodes, node)
		}
	case kind == "PersistentVolumeClaim":
		var claim *corev1.PersistentVolumeClaim
		if claim, err = keep[corev1.PersistentVolumeClaim](o, raw); err == nil {
			claim.Namespace = namespaceOr(claim.Namespace)
			o.claims[client.ObjectKeyFromObject(claim)] = true
			if claim.Spec.VolumeName != "" { // the controller of volumes leaves this sign
				metav1.SetMetaDataAnnotation(&claim.ObjectMeta, "pv.kubernetes.io/bind-completed", "yes")
			}
		}
	case kind == "PersistentVolume":
		_, err = keep[corev1.PersistentVolume](o, raw)
	case kind == "StorageClass":
		var class *storagev1.StorageClass
		if class, err = keep[storagev1.StorageClass](o, raw); err == nil && class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" {
			o.defaultClass = &class.Name
		}
	case kind == "CSINode":
		_, err = keep[storagev1.CSINode](o, raw)
	case kind == "Namespace":
		_, err = keep[corev1.Namespace](o, raw)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", head.Kind, name, err)
	}
	return nil
}

// addTemplate notes what the pods of a workload look like.
func addTemplate[T any](o *objects, raw json.RawMessage, kind string, of func(*T) (metav1.ObjectMeta, template)) error {
	made, err := decoded[T](raw)
	if err != nil {
		return err
	}
	meta, noted := of(made)
	o.templates[workload{kind, namespaceOr(meta.Namespace), meta.Name}] = noted
	if err := statable(kind+" "+meta.Name, noted.pod.Annotations); err != nil {
		return err
	}
	return specStatable(kind+" "+meta.Name, &noted.pod.Spec)
}

// statable refuses what only supercargo understands.
func statable(of string, annotations map[string]string) error {
	for key := range annotations {
		if strings.HasPrefix(key, ownAnnotations) {
			return cannotState{fmt.Sprintf("the annotation %s of %s", key, of)}
		}
	}
	return nil
}

// specStatable refuses pods that the scheduler leaves alone.
func specStatable(of string, spec *corev1.PodSpec) error {
	if len(spec.ResourceClaims) > 0 {
		return cannotState{"the ResourceClaims of " + of}
	}
	return nil
}

func namespaceOr(namespace string) string {
	if namespace == "" {
		return metav1.NamespaceDefault
	}
	return namespace
}

// leaving says whether a node is no place for pods any more.
func leaving(node *corev1.Node) bool {
	disrupted := func(taint corev1.Taint) bool { return taint.Key == karpv1.DisruptedTaintKey }
	return !node.DeletionTimestamp.IsZero() || slices.ContainsFunc(node.Spec.Taints, disrupted)
}

// place makes the pods to place, and stores those that are on nodes.
func (o *objects) place(asked *request) error {
	random := rand.New(rand.NewSource(asked.Seed))
	wanted := map[types.NamespacedName]bool{}
	for _, of := range asked.Pods {
		made, known := o.templates[workload{of.Kind, of.Namespace, of.Name}]
		for _, name := range of.Pods {
			key := types.NamespacedName{Namespace: of.Namespace, Name: name}
			wanted[key] = true
			pod := o.pods[key]
			switch {
			case pod != nil:
				pod = pod.DeepCopy()
			case known:
				pod = made.instance(key)
				o.claimFor(key, &made)
			default:
				return fmt.Errorf("pod %s: the instance has neither it nor its %s %s", key, of.Kind, of.Name)
			}
			pod.UID = types.UID(fmt.Sprintf("%016x-%08x", random.Uint64(), len(o.pending)))
			pod.Spec.NodeName = ""
			pod.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{{
				Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}}
			o.pending = append(o.pending, pod)
		}
	}
	o.nodes = slices.DeleteFunc(o.nodes, func(node *corev1.Node) bool {
		return o.left[node.Name] || (node.Spec.ProviderID != "" && o.left[node.Spec.ProviderID])
	})
	for _, object := range o.stored {
		if claim, is := object.(*corev1.PersistentVolumeClaim); is && claim.Spec.StorageClassName == nil {
			claim.Spec.StorageClassName = o.defaultClass
		}
	}
	standing := map[string]bool{}
	for _, node := range o.nodes {
		standing[node.Name] = true
	}
	keys := slices.SortedFunc(maps.Keys(o.pods), func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	for _, key := range keys {
		if pod := o.pods[key]; !wanted[key] && standing[pod.Spec.NodeName] {
			pod.ResourceVersion, pod.UID = "", types.UID(key.String())
			if pod.DeletionTimestamp != nil && len(pod.Finalizers) == 0 {
				pod.Finalizers = []string{"supercargo.io/benchmark"}
			}
			o.stored = append(o.stored, pod)
		}
	}
	return nil
}

// instance is the pod of that name.
func (t *template) instance(key types.NamespacedName) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: *t.pod.ObjectMeta.DeepCopy(), Spec: *t.pod.Spec.DeepCopy()}
	pod.Namespace, pod.Name = key.Namespace, key.Name
	for _, claim := range t.claims {
		source := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim.Name + "-" + key.Name}}
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: claim.Name, VolumeSource: source})
	}
	return pod
}

// claimFor stores the claims that the StatefulSet would make for the pod, where they are not there.
func (o *objects) claimFor(key types.NamespacedName, of *template) {
	for _, claim := range of.claims {
		name := types.NamespacedName{Namespace: key.Namespace, Name: claim.Name + "-" + key.Name}
		if !o.claims[name] {
			made := claim.DeepCopy()
			made.Namespace, made.Name = name.Namespace, name.Name
			o.claims[name], o.stored = true, append(o.stored, made)
		}
	}
}
