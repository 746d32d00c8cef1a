"""Item ids, texts and units of the synthetic export: those of MetaVision, which MIMIC-IV shares."""

HEART_RATE, RESP_RATE, SPO2, TEMP_F, TEMP_C = 220045, 220210, 220277, 223761, 223762
CUFF = {"sbp": 220179, "dbp": 220180, "map": 220181}
LINE = {"sbp": 220050, "dbp": 220051, "map": 220052}
GCS_VERBAL, GCS_MOTOR, GCS_EYE = 223900, 223901, 220739
VERBAL = {
    1: "No Response", 2: "Incomprehensible sounds", 3: "Inappropriate Words", 4: "Confused", 5: "Oriented",
}  # fmt: skip
MOTOR = {
    1: "No response", 3: "Abnormal Flexion", 4: "Flex-withdraws", 5: "Localizes Pain", 6: "Obeys Commands",
}  # fmt: skip
EYE = {1: "None", 2: "To Pain", 3: "To Speech", 4: "Spontaneously"}
TUBE_VERBAL = "No Response-ETT"
FIO2, O2_FLOW, O2_DEVICE, VENT_TYPE, VENT_MODE = 223835, 223834, 226732, 223848, 223849
PEEP_SET, PEEP_TOTAL, TIDAL_SET, TIDAL_SEEN, PEAK_PRESSURE = 220339, 224700, 224684, 224685, 224695
WEIGHT = 226512
FOLEY, VOID, IRRIGANT_IN, IRRIGANT_OUT = 226559, 226560, 227488, 227489

CHEMISTRY = {
    "creatinine": 50912, "bun": 51006, "sodium": 50983, "potassium": 50971, "chloride": 50902,
    "bicarbonate": 50882, "glucose": 50931, "magnesium": 50960,
}  # fmt: skip
BLOOD_COUNT = {"wbc": 51301, "platelets": 51265, "hemoglobin": 51222}
HEMATOCRIT, BANDS = 51221, 51144
CLOTTING = {"inr": 51237, "ptt": 51275}
PROTHROMBIN = 51274
LIVER = {"bilirubin_total": 50885, "albumin": 50862}
RARE = {"ldh": 50954, "fibrinogen": 51214}
GAS = {"ph": 50820, "pco2": 50818, "calcium_ionized": 50808}
LACTATE, PO2, SO2, FIO2_LAB, SPECIMEN = 50813, 50821, 50817, 50816, 50800

UNITS = {
    HEART_RATE: "bpm", RESP_RATE: "insp/min", SPO2: "%", TEMP_F: "°F", TEMP_C: "°C", WEIGHT: "kg",
    **dict.fromkeys([*CUFF.values(), *LINE.values(), 50818, PO2], "mmHg"),
    O2_FLOW: "L/min", **dict.fromkeys([TIDAL_SET, TIDAL_SEEN], "mL"),
    **dict.fromkeys([PEEP_SET, PEEP_TOTAL, PEAK_PRESSURE], "cmH2O"),
    **dict.fromkeys([50912, 51006, 50931, 50960, 50885, 51214], "mg/dL"),
    **dict.fromkeys([50983, 50971, 50902, 50882], "mEq/L"),
    **dict.fromkeys([51301, 51265], "K/uL"), **dict.fromkeys([51222, 50862], "g/dL"),
    **dict.fromkeys([HEMATOCRIT, BANDS, SO2, FIO2_LAB], "%"),
    **dict.fromkeys([51275, PROTHROMBIN], "sec"), 50954: "IU/L",
    **dict.fromkeys([LACTATE, 50808], "mmol/L"), 50820: "units",
    **dict.fromkeys([FOLEY, VOID, IRRIGANT_IN, IRRIGANT_OUT], "mL"),
}  # fmt: skip
