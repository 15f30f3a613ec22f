"""Which attributes tell of the machine and the image, and nothing of the patient.

A list of what may be shown, not of what may not: an attribute that nobody thought of stays hidden, as do all private
ones. From the modules of PS3.3 named below; only numbers, codes of a closed vocabulary (VR CS) and UIDs of the standard
itself. None of them is in the Basic Application Level Confidentiality Profile (PS3.15 table E.1-1, edition 2026c),
against which the list was checked.
"""

from __future__ import annotations

import re
from typing import Final

from slicer_notebook.dicom.elements import Line

__all__ = ["TECHNICAL", "is_technical"]

#: Keywords; sequences are those whose items are looked into.
TECHNICAL: Final = frozenset(
    keyword
    for keywords in (
        # series, image pixels
        "MediaStorageSOPClassUID TransferSyntaxUID SOPClassUID Modality ImageType PatientPosition BodyPartExamined "
        "SeriesNumber AcquisitionNumber InstanceNumber NumberOfFrames SamplesPerPixel PhotometricInterpretation "
        "PlanarConfiguration Rows Columns BitsAllocated BitsStored HighBit PixelRepresentation PixelAspectRatio "
        "SmallestImagePixelValue LargestImagePixelValue PixelPaddingValue PixelPaddingRangeLimit NumberOfSlices "
        "LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod "
        "BurnedInAnnotation",
        # geometry
        "PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing ImageOrientationPatient ImagePositionPatient "
        "SliceThickness SpacingBetweenSlices SliceLocation ImagesInAcquisition PixelSpacingCalibrationType "
        "EstimatedRadiographicMagnificationFactor",
        # values and display
        "RescaleIntercept RescaleSlope WindowCenter WindowWidth VOILUTFunction PresentationLUTShape "
        "RealWorldValueIntercept RealWorldValueSlope RealWorldValueFirstValueMapped RealWorldValueLastValueMapped",
        # CT, X-ray tubes
        "KVP ExposureTime ExposureTimeInms XRayTubeCurrent XRayTubeCurrentInmA XRayTubeCurrentInuA Exposure "
        "ExposureInmAs GeneratorPower FocalSpots DataCollectionDiameter ReconstructionDiameter "
        "DistanceSourceToDetector DistanceSourceToPatient GantryDetectorTilt TableHeight RotationDirection "
        "SingleCollimationWidth TotalCollimationWidth TableSpeed TableFeedPerRotation SpiralPitchFactor "
        "ScanOptions RevolutionTime AcquisitionType CTDIvol DataCollectionCenterPatient "
        "ReconstructionTargetCenterPatient ReconstructionAlgorithm ReconstructionFieldOfView "
        "ReconstructionPixelSpacing ReconstructionAngle MultienergyCTAcquisition ExposureModulationType "
        "FilterMaterial CalciumScoringMassFactorPatient",
        # MR
        "ScanningSequence SequenceVariant MRAcquisitionType RepetitionTime EchoTime InversionTime NumberOfAverages "
        "ImagingFrequency EchoNumbers MagneticFieldStrength NumberOfPhaseEncodingSteps EchoTrainLength "
        "PercentSampling PercentPhaseFieldOfView PixelBandwidth TriggerTime NominalInterval LowRRValue HighRRValue "
        "HeartRate CardiacNumberOfImages TriggerWindow AcquisitionMatrix InPlanePhaseEncodingDirection FlipAngle "
        "VariableFlipAngleFlag SAR dBdt TemporalPositionIdentifier NumberOfTemporalPositions TemporalResolution "
        "AngioFlag EffectiveEchoTime EchoPulseSequence InversionRecovery FlowCompensation MultipleSpinEcho "
        "MultiPlanarExcitation PhaseContrast TimeOfFlightContrast Spoiling SteadyStatePulseSequence "
        "EchoPlanarPulseSequence MagnetizationTransfer T2Preparation BloodSignalNulling SaturationRecovery "
        "SpectrallySelectedSuppression SpectrallySelectedExcitation SpatialPresaturation Tagging OversamplingPhase "
        "GeometryOfKSpaceTraversal SegmentedKSpaceTraversal RectilinearPhaseEncodeReordering PartialFourier "
        "PartialFourierDirection ParallelAcquisition ParallelAcquisitionTechnique ParallelReductionFactorInPlane "
        "ParallelReductionFactorOutOfPlane ReceiveCoilType TransmitCoilType ResonantNucleus KSpaceFiltering "
        "MRAcquisitionFrequencyEncodingSteps MRAcquisitionPhaseEncodingStepsInPlane "
        "MRAcquisitionPhaseEncodingStepsOutOfPlane RFEchoTrainLength GradientEchoTrainLength "
        "DiffusionDirectionality DiffusionBValue DiffusionGradientOrientation DiffusionAnisotropyType "
        "DiffusionBValueXX DiffusionBValueXY DiffusionBValueXZ DiffusionBValueYY DiffusionBValueYZ "
        "DiffusionBValueZZ ComplexImageComponent AcquisitionContrast PixelPresentation VolumetricProperties "
        "VolumeBasedCalculationTechnique VelocityEncodingDirection VelocityEncodingMinimumValue "
        "VelocityEncodingMaximumValue ContentQualification",
        # PET and nuclear medicine
        "Units CountsSource ReprojectionMethod RandomsCorrectionMethod DecayCorrection SeriesType CorrectedImage "
        "FrameReferenceTime ActualFrameDuration NumberOfRRIntervals NumberOfTimeSlots ImageIndex DecayFactor "
        "DoseCalibrationFactor ScatterFractionFactor DeadTimeFactor AxialAcceptance AxialMash TransverseMash "
        "DetectorElementSize CoincidenceWindowWidth SecondaryCountsType RadionuclideHalfLife "
        "RadionuclidePositronFraction EnergyWindowLowerLimit EnergyWindowUpperLimit NumberOfEnergyWindows "
        "NumberOfDetectors NumberOfRotations FrameIncrementPointer",
        # cine, ultrasound
        "FrameTime FrameTimeVector CineRate RecommendedDisplayFrameRate EffectiveDuration PhysicalUnitsXDirection "
        "PhysicalUnitsYDirection PhysicalDeltaX PhysicalDeltaY RegionLocationMinX0 RegionLocationMinY0 "
        "RegionLocationMaxX1 RegionLocationMaxY1 RegionSpatialFormat RegionDataType RegionFlags "
        "TransducerFrequency PulseRepetitionFrequency MechanicalIndex DepthOfScanField",
        # radiography
        "PositionerPrimaryAngle PositionerSecondaryAngle RadiationSetting Grid FieldOfViewShape "
        "FieldOfViewDimensions DetectorType Sensitivity ExposuresOnDetectorSinceLastCalibration "
        "PixelIntensityRelationship PixelIntensityRelationshipSign ViewPosition",
        # enhanced objects: frames
        "FrameType InStackPositionNumber TemporalPositionIndex DimensionIndexValues DimensionIndexPointer "
        "FunctionalGroupPointer DimensionOrganizationType FrameAcquisitionNumber FrameAcquisitionDuration "
        "NominalPercentageOfCardiacPhase NominalCardiacTriggerDelayTime",
        # enhanced objects: sequences
        "SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence PixelMeasuresSequence "
        "PlaneOrientationSequence PlanePositionSequence FrameContentSequence FrameVOILUTSequence "
        "PixelValueTransformationSequence CTAcquisitionTypeSequence CTAcquisitionDetailsSequence "
        "CTExposureSequence CTGeometrySequence CTImageFrameTypeSequence CTPositionSequence "
        "CTReconstructionSequence CTTableDynamicsSequence CTXRayDetailsSequence MRAveragesSequence "
        "MRDiffusionSequence DiffusionBMatrixSequence DiffusionGradientDirectionSequence MREchoSequence "
        "MRFOVGeometrySequence MRImageFrameTypeSequence MRImagingModifierSequence MRMetaboliteMapSequence "
        "MRModifierSequence MRReceiveCoilSequence MRTimingAndRelatedParametersSequence MRTransmitCoilSequence "
        "MRVelocityEncodingSequence PETFrameTypeSequence CardiacSynchronizationSequence DimensionIndexSequence "
        "SequenceOfUltrasoundRegions RealWorldValueMappingSequence EnergyWindowRangeSequence",
    )
    for keyword in keywords.split()
)

#: A code as the standard writes them (PS3.5 table 6.2-1): free text in its place stays hidden.
_CODE: Final = re.compile(r"[A-Z0-9_ \\]*")
_NUMBER: Final = re.compile(r"[-+0-9.eE \\]*|(\(?[0-9A-F]{4},[0-9A-F]{4}\)?\\?)*")


def is_technical(line: Line) -> bool:
    """Whether a line's value may be in a notebook's file in which nothing may tell of a patient."""
    if line.kind == "item":
        return True
    if line.keyword not in TECHNICAL:
        return False
    if line.kind == "sequence":
        return True
    if line.vr == "UI":
        return bool(line.note)  # the name of a UID that the standard defines
    pattern = _CODE if line.vr == "CS" else _NUMBER
    return pattern.fullmatch(line.value) is not None
