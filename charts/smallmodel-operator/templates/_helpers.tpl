{{- /* The names are fixed: one operator serves one cluster (or its namespaces), and its Lease must be found again. */ -}}
{{- define "operator.name" -}}smallmodel-operator{{- end -}}

{{- define "operator.selector" -}}
app.kubernetes.io/name: smallmodel-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "operator.labels" -}}
{{ include "operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: smallmodel
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "operator.registry" -}}
{{- required "image.registry is empty: name the registry and folder that holds the images, like --set image.registry=registry.internal/slm (make install REGISTRY=registry.internal/slm builds and pushes them)" .Values.image.registry | trimSuffix "/" -}}
{{- end -}}

{{- /* A digest alone decides; a tag beside it would only look like it mattered. */ -}}
{{- define "operator.image" -}}
{{- $name := printf "%s/%s" (include "operator.registry" .) .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $name .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "operator.engineImage" -}}
{{- .Values.defaultProfile.engineImage | default (printf "%s/smallmodel-llamacpp:%s" (include "operator.registry" .) .Chart.AppVersion) -}}
{{- end -}}

{{- define "operator.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "operator.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* What both the operator and the release hook need to know. */ -}}
{{- define "operator.env" -}}
- name: SLM_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: SLM_WATCH_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: SLM_LOG_FORMAT
  value: {{ .Values.logFormat }}
- name: SLM_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- end -}}

{{- /* The token is asked for by name and lifetime instead of being mounted into whatever runs here. */ -}}
{{- define "operator.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
- name: api-access
  projected:
    defaultMode: 0440
    sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: {{ .Values.serviceAccountToken.expirationSeconds }}
    - configMap:
        name: kube-root-ca.crt
        items: [{key: ca.crt, path: ca.crt}]
    - downwardAPI:
        items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]
{{- end -}}

{{- define "operator.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: api-access, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
{{- end -}}

{{- /* Rights on models and what is made for them; in the ClusterRole, or in a Role of each watched namespace. */ -}}
{{- define "operator.modelRules" -}}
- apiGroups: [smallmodel.dev]
  resources: [smallmodels, modelroutes]
  verbs: [get, list, watch, patch]
- apiGroups: [smallmodel.dev]
  resources: [smallmodels/status, modelroutes/status]
  verbs: [patch, update]
- apiGroups: [smallmodel.dev]
  resources: [smallmodels/finalizers, modelroutes/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Keys of a model: by name only, never listed, never watched.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
# Golden prompts: by the name a model gives.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get]
# Names of the pull secrets that images of weights are copied and tags are resolved with.
- apiGroups: [""]
  resources: [serviceaccounts]
  resourceNames: [default]
  verbs: [get]
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{- /* Rights on what belongs to no namespace. */ -}}
{{- define "operator.clusterRules" -}}
- apiGroups: [smallmodel.dev]
  resources: [computeprofiles, clusterboundaries]
  verbs: [get, list, watch]
# Its condition BoundaryEnforced.
- apiGroups: [smallmodel.dev]
  resources: [clusterboundaries/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [nodes]
  verbs: [list]
{{- end -}}
