"""Subject hierarchy items for new nodes, which Slicer's qSlicerSubjectHierarchyPluginLogic and its plugins make.

A node that one of the plugins would take gets an item below the scene, owned by that plugin; segments get items below
their segmentation. Nodes that a scene's import brings get theirs when it ends, so that the scene's own hierarchy, read
from its file, is kept. Names need no work: the item of a node shows the node's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from vtkmodules.util.misc import calldata_type
from vtkmodules.vtkCommonCore import VTK_OBJECT, VTK_STRING, vtkIdList

__all__ = ["OWNERS", "SubjectHierarchyItems"]

#: MRML class -> name of the plugin that owns its items. The first class that a node is, counts.
OWNERS: Final = (
    ("vtkMRMLDiffusionTensorVolumeNode", "DiffusionTensorVolumes"),
    ("vtkMRMLLabelMapVolumeNode", "LabelMaps"),
    ("vtkMRMLVolumeNode", "Volumes"),
    ("vtkMRMLSegmentationNode", "Segmentations"),
    ("vtkMRMLMarkupsNode", "Markups"),
    ("vtkMRMLAnnotationNode", "Annotations"),
    ("vtkMRMLModelNode", "Models"),
    ("vtkMRMLTransformNode", "Transforms"),
    ("vtkMRMLTableNode", "Tables"),
    ("vtkMRMLTextNode", "Texts"),
    ("vtkMRMLPlotChartNode", "Charts"),
    ("vtkMRMLPlotSeriesNode", "Plots"),
    ("vtkMRMLSequenceBrowserNode", "Sequences"),
    ("vtkMRMLSequenceNode", "Sequences"),
)
#: Item attribute that names the segment of a segment's item (vtkMRMLSegmentationNode::GetSegmentIDAttributeName).
_SEGMENT_ATTRIBUTE: Final = "segmentID"


class SubjectHierarchyItems:
    """Keeps the subject hierarchy of a scene in step with its nodes.

    Args:
        slicer: the ``slicer`` module.
        scene: the application's scene.
    """

    def __init__(self, slicer: Any, scene: Any) -> None:
        self._slicer = slicer
        self._scene = scene
        self._held: Any = None
        self._segmentation_tags: dict[str, tuple[Any, list[int]]] = {}
        scene_class = slicer.vtkMRMLScene
        self._on_added = self._with_node(self._node_added)
        self._on_about_to_be_removed = self._with_node(self._node_about_to_be_removed)
        scene.AddObserver(scene_class.NodeAddedEvent, self._on_added)
        scene.AddObserver(scene_class.NodeAboutToBeRemovedEvent, self._on_about_to_be_removed)
        for event in (scene_class.EndImportEvent, scene_class.EndRestoreEvent, scene_class.EndBatchProcessEvent):
            scene.AddObserver(event, self._import_ended)
        scene.AddObserver(scene_class.StartCloseEvent, self._closing)
        scene.AddObserver(scene_class.EndCloseEvent, self._closed)

    @staticmethod
    def _with_node(method: Any) -> Any:
        @calldata_type(VTK_OBJECT)
        def callback(_scene: Any, _event: str, node: Any) -> None:
            method(node)

        return callback

    @property
    def node(self) -> Any:
        """The scene's subject hierarchy node."""
        return self._scene.GetSubjectHierarchyNode()

    @staticmethod
    def owner(node: Any) -> str | None:
        """Name of the plugin that takes ``node``; None if none does."""
        for class_name, plugin in OWNERS:
            if node.IsA(class_name):
                return plugin
        return None

    def _busy(self) -> bool:
        scene = self._scene
        return bool(scene.IsImporting() or scene.IsRestoring() or scene.IsClosing())

    def _node_added(self, node: Any) -> None:
        if not self._busy():
            self.add(node)

    def add(self, node: Any) -> None:
        """Make the item of ``node`` unless it has one, is hidden, excluded, or of no plugin's class."""
        owner = self.owner(node)
        hierarchy = self.node
        if owner is None or hierarchy is None or node.GetHideFromEditors():
            return
        constants = self._slicer.vtkMRMLSubjectHierarchyConstants
        if node.GetAttribute(constants.GetSubjectHierarchyExcludeFromTreeAttributeName()):
            return
        if hierarchy.GetItemByDataNode(node) == hierarchy.GetInvalidItemID():
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node, owner)
        else:
            hierarchy.SetItemOwnerPluginName(hierarchy.GetItemByDataNode(node), owner)
        if node.IsA("vtkMRMLSegmentationNode"):
            self._follow_segments(node)

    def _node_about_to_be_removed(self, node: Any) -> None:
        followed = self._segmentation_tags.pop(node.GetID() or "", None)
        if followed is not None:
            for tag in followed[1]:
                followed[0].RemoveObserver(tag)
        if self._scene.IsClosing():
            # To ask for the hierarchy now would make a new one in a scene that is half gone.
            return
        hierarchy = self.node
        if hierarchy is None or hierarchy is node:
            return
        item = hierarchy.GetItemByDataNode(node)
        if item != hierarchy.GetInvalidItemID():
            # The node is on its way out already, and children (a model in a segmentation's folder) stay.
            hierarchy.RemoveItem(item, False, False)

    def _import_ended(self, _scene: Any, _event: str) -> None:
        scene = self._scene
        if self._busy() or scene.IsBatchProcessing():
            # The hierarchy of a bundle can be merged only when the batch around its import ends, too.
            return
        # It is merged first, or nodes that have their place in it would get a second item.
        self._slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
        for index in range(scene.GetNumberOfNodes()):
            self.add(scene.GetNthNode(index))

    def _closing(self, _scene: Any, _event: str) -> None:
        # Displayable managers ask for the hierarchy while nodes go. Held, it is the old one that they get; otherwise
        # the scene would make a new one in between, and an import that follows could not be merged with it.
        self._held = self.node

    def _closed(self, _scene: Any, _event: str) -> None:
        self._segmentation_tags.clear()
        self._held = None

    # -- segments -----------------------------------------------------------------------------------------------

    def _follow_segments(self, node: Any) -> None:
        if node.GetID() in self._segmentation_tags:
            return
        segmentation_class = self._slicer.vtkSegmentation
        segmentation = node.GetSegmentation()

        def changed(_caller: Any, _event: str) -> None:
            self._update_segments(node)

        @calldata_type(VTK_STRING)
        def modified(_caller: Any, _event: str, segment_id: str) -> None:
            # Its name, or its colour, which only whoever observes the item can show.
            self._update_segments(node)
            self._tell_of_segment(node, segment_id)

        events = (
            segmentation_class.SegmentAdded,
            segmentation_class.SegmentRemoved,
            segmentation_class.SegmentsOrderModified,
        )
        tags = [segmentation.AddObserver(event, changed) for event in events]
        tags.append(segmentation.AddObserver(segmentation_class.SegmentModified, modified))
        self._segmentation_tags[node.GetID()] = (segmentation, tags)
        self._update_segments(node)

    def _segment_items(self, item: int) -> dict[str, int]:
        hierarchy = self.node
        children = vtkIdList()
        hierarchy.GetItemChildren(item, children, False)
        ids: Iterable[int] = (children.GetId(index) for index in range(children.GetNumberOfIds()))
        found = {hierarchy.GetItemAttribute(each, _SEGMENT_ATTRIBUTE): each for each in ids}
        found.pop("", None)
        return found

    def _tell_of_segment(self, node: Any, segment_id: str) -> None:
        hierarchy = self.node
        if self._busy() or node.GetScene() is None or hierarchy is None:
            return
        item = self._segment_items(hierarchy.GetItemByDataNode(node)).get(segment_id)
        if item is not None:
            hierarchy.ItemModified(item)

    def _update_segments(self, node: Any) -> None:
        if self._busy() or node.GetScene() is None:
            return
        hierarchy = self.node
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
        if item == 0:
            return
        constants = self._slicer.vtkMRMLSubjectHierarchyConstants
        segmentation = node.GetSegmentation()
        present = self._segment_items(item)
        wanted = list(segmentation.GetSegmentIDs())
        for segment_id in wanted:
            name = segmentation.GetSegment(segment_id).GetName() or ""
            segment_item = present.pop(segment_id, None)
            if segment_item is None:
                hierarchy.SetItemAttribute(item, constants.GetSubjectHierarchyVirtualBranchAttributeName(), "1")
                segment_item = hierarchy.CreateHierarchyItem(item, name, "")
                hierarchy.SetItemAttribute(segment_item, _SEGMENT_ATTRIBUTE, segment_id)
                hierarchy.SetItemOwnerPluginName(segment_item, "Segments")
            elif hierarchy.GetItemName(segment_item) != name:
                hierarchy.SetItemName(segment_item, name)
        for left_over in present.values():
            hierarchy.RemoveItem(left_over, False, False)

    # -- DICOM --------------------------------------------------------------------------------------------------

    def place_series(
        self,
        node: Any,
        *,
        patient_id: str,
        study_uid: str,
        series_uid: str,
        patient: dict[str, str] | None = None,
        study: dict[str, str] | None = None,
        series: dict[str, str] | None = None,
        beside: Iterable[Any] = (),
    ) -> int:
        """Put ``node`` below its patient and study, as Slicer's DICOM plugins do.

        Args:
            node: a node loaded from the series.
            patient_id: Patient ID (0010,0020), the patient item's UID.
            study_uid, series_uid: Study and Series Instance UID.
            patient, study, series: attributes by DICOM keyword ("PatientName", "StudyDate", "Modality"...), stored as
                ``DICOM.<keyword>``; PatientName and StudyDescription/StudyDate also name the items.
            beside: nodes that belong to it (a sequence's browser and proxy), put below the same study.

        Returns:
            The item's id.
        """
        slicer, hierarchy = self._slicer, self.node
        constants = slicer.vtkMRMLSubjectHierarchyConstants
        self.add(node)
        item = hierarchy.GetItemByDataNode(node)
        hierarchy.SetItemUID(item, constants.GetDICOMUIDName(), series_uid)
        logic = slicer.vtkSlicerSubjectHierarchyModuleLogic
        logic.InsertDicomSeriesInHierarchy(hierarchy, patient_id, study_uid, series_uid)
        study_item = hierarchy.GetItemByUID(constants.GetDICOMUIDName(), study_uid)
        patient_item = hierarchy.GetItemByUID(constants.GetDICOMUIDName(), patient_id)
        # By the series' UID the logic finds one item, and there may be several.
        hierarchy.SetItemParent(item, study_item)
        for other in beside:
            self.add(other)
            hierarchy.SetItemParent(hierarchy.GetItemByDataNode(other), study_item)
        for where, attributes in ((patient_item, patient), (study_item, study), (item, series)):
            for keyword, value in (attributes or {}).items():
                hierarchy.SetItemAttribute(where, f"{constants.GetDICOMAttributePrefix()}{keyword}", value)
        name = (patient or {}).get("PatientName") or patient_id
        hierarchy.SetItemName(patient_item, f"{name} ({patient_id})" if patient_id and name != patient_id else name)
        described = (study or {}).get("StudyDescription") or "No study description"
        date = (study or {}).get("StudyDate", "")
        hierarchy.SetItemName(study_item, f"{described} ({date})" if date else described)
        return int(item)
